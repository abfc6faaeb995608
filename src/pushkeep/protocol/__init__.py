"""The wire formats of Web Push, in both directions: RFC 8030, 8188, 8291 and 8292.

Pure: every input, also the time and everything random, is an argument. The only exceptions are inside
``cryptography``: making a new key pair and the nonce of an ECDSA signature.
"""
