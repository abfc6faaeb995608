"""What Chromium's push client speaks: check-in, registration, and MCS over TLS.

Source: Chromium ``google_apis/gcm`` (``checkin.proto``, ``mcs.proto``, ``engine/``).
"""
