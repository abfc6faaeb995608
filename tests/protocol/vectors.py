"""Known answers: RFC 8291 section 5 and appendix A, RFC 8188 section 3, RFC 8292 section 2.4, the draft of aesgcm."""

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep.protocol.encoding import b64_decode


def d(text: str) -> bytes:
    return b64_decode(text, field="vector")


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(d(text), "big"), ec.SECP256R1())


PLAINTEXT = b"When I grow up, I want to be a watermelon"
AS_PRIVATE = private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
AS_PUBLIC = d("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8")
UA_PRIVATE = private_key("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
UA_PUBLIC = d("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
AUTH = d("BTBZMqHH6r4Tts7J_aSIgg")
SALT = d("DGv6ra1nlYgDCS1FRnbzlw")
ECDH_SECRET = d("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs")
CEK = d("oIhVW04MRdy2XN9CiKLxTg")
NONCE = d("4h_95klXJ5E_qnoN")
CIPHERTEXT = d("8pfeW0KbunFT06SuDKoJH9Ql87S1QUrdirN6GcG7sFz1y1sqLgVi1VhjVkHsUoEsbI_0LpXMuGvnzQ")
BODY = d(
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)

# RFC 8188: not push messages (other key ids, two records), which a push receiver must reject.
WALRUS_ONE_RECORD = d("I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg")
WALRUS_TWO_RECORDS = d(
    "uNCkWiNYzKTnBN9ji3-qWAAAABkCYTHOG8chz_gnvgOqdGYovxyjuqRyJFjEDyoF1Fvkj6hQPdPHI51OEUKEpgz3SsLWIqS_uA"
)

VAPID_HEADER = (
    "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsI"
    "nN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjv"
    "W2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
)
VAPID_AUDIENCE = "https://push.example.net"
VAPID_EXPIRES_AT = 1_453_523_768


class Legacy:
    """draft-ietf-webpush-encryption-04 section 5, with the intermediate values of its appendix A."""

    PLAINTEXT = b"I am the walrus"
    AS_PRIVATE = private_key("nCScek-QpEjmOOlT-rQ38nZzvdPlqa00Zy0i6m2OJvY")
    AS_PUBLIC = d("BNoRDbb84JGm8g5Z5CFxurSqsXWJ11ItfXEWYVLE85Y7CYkDjXsIEc4aqxYaQ1G8BqkXCJ6DPpDrWtdWj_mugHU")
    UA_PRIVATE = private_key("9FWl15_QUQAWDaD3k3l50ZBZQJ4au27F1V4F0uLSD_M")
    UA_PUBLIC = d("BCEkBjzL8Z3C-oi2Q7oE5t2Np-p7osjGLg93qUP0wvqRT21EEWyf0cQDQcakQMqz4hQKYOQ3il2nNZct4HgAUQU")
    AUTH = d("R29vIGdvbyBnJyBqb29iIQ")
    SALT = d("lngarbyKfMoi9Z75xYXmkg")
    ECDH_SECRET = d("RNjC-NVW4BGJbxWPW7G2mowsLeDa53LYKYm4--NOQ6Y")
    CEK = d("AN2-xhvFWeYh5z0fcDu0Ww")
    NONCE = d("JY1Okw5rw1Drkg9J")
    BODY = d("6nqAQUME8hNqw5J3kl8cpVVJylXKYqZOeseZG8UueKpA")
