"""Who we are to push services: the contact, the key pair, the file it lies in.

A contact that Google does not look at makes every iPhone silent; a key that is lost loses every subscriber made with
it. Sources: RFC 8292 sections 2.1 and 4.2; Apple, Sending web push notifications in web apps and browsers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pushkeep.domain.doctor.findings import Finding, ok, problem, warning
from pushkeep.errors import InvalidInput
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.signing_key import SigningKey

_PLACEHOLDER_HOSTS = ("example.com", "example.org", "example.net", "yourdomain.com", "your-domain.org")
"""Hosts of documentation. Tests of senders use them; no push service can write to them."""

_GROUP, _OTHERS = 0o070, 0o007


def contact_finding(contact: str | None) -> Finding:
    """Whether every push service accepts the contact, Apple with the strictest rules of all."""
    if contact is None:
        return warning(
            "contact",
            "No contact",
            "no contact is set, so it cannot be checked; Apple refuses tokens without one",
            "Set PUSHKEEP_CONTACT or give --contact: mailto:you@your-domain.org or https://your-domain.org/contact.",
        )
    try:
        check_contact(contact)
    except InvalidInput as error:
        return problem(
            "contact",
            "Contact that Apple refuses: works on Chrome, silent on iPhone",
            error.message,
            "Set it to mailto:you@your-domain.org or https://your-domain.org/contact, an address that exists.",
        )
    host = contact.partition("//")[2].partition("/")[0] if contact.startswith("https:") else contact.rpartition("@")[2]
    if any(host.lower() == name or host.lower().endswith(f".{name}") for name in _PLACEHOLDER_HOSTS):
        return warning(
            "contact",
            "Contact is a placeholder",
            f"nobody can be reached at {host}",
            "Set it to an address of yours: a push service that has a question blocks who does not answer.",
        )
    return ok("contact", "Contact", f"{contact} is of a form that every push service accepts")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with a secret, as it lies there.

    Attributes:
        path: where.
        content: its octets; None where it cannot be read.
        error: why it cannot be read, in the system's words.
        mode: its permission bits; None where the system has none.
        work_tree: the root of the git work tree it lies in; None outside.
        tracked: whether git has it.
        ignored: whether git is told to leave it out.
    """

    path: str
    content: bytes | None = field(repr=False)
    error: str | None = None
    mode: int | None = None
    work_tree: str | None = None
    tracked: bool = False
    ignored: bool = False


def file_findings(file: KeyFile, what: str, *, rotated: str = "") -> Iterator[Finding]:
    """Whether a secret's file is kept from others: its permissions, and git.

    Args:
        file: as it lies there.
        what: what it holds, such as "signing key".
        rotated: what to change once others have it, if that is something else.
    """
    if file.mode is not None:
        octal = f"{file.path} has mode {file.mode:04o}"
        if file.mode & _OTHERS:
            yield problem(
                "key_file",
                f"Everybody on this machine can get at the {what}",
                octal,
                f"Run: chmod 600 {file.path}",
            )
        elif file.mode & _GROUP:
            yield warning("key_file", f"The file's group can get at the {what}", octal, f"Run: chmod 600 {file.path}")
        else:
            yield ok("key_file", f"The {what} is its owner's alone", octal)
    if file.tracked:
        yield problem(
            "key_in_git",
            f"The {what} is in git",
            f"{file.path} is committed or staged in {file.work_tree}; whoever has the repository has it, too",
            f"Move it out, run `git rm --cached`, and rotate {rotated or f'the {what}'}: history keeps it.",
        )
    elif file.work_tree is not None and not file.ignored:
        yield warning(
            "key_in_git",
            f"The {what} lies in a git work tree",
            f"{file.path} is in {file.work_tree} and not ignored; one `git add .` publishes it",
            "Move it out of the work tree, or name it in .gitignore.",
        )


def key_findings(file: KeyFile, public: str | None = None) -> tuple[SigningKey | None, list[Finding]]:
    """Whether a file holds a usable key pair, and the public key that the page subscribes with.

    Args:
        file: as it lies there.
        public: the public key the page uses, in base64url; None to leave that out.

    Returns:
        the key, if there is one, and what was found.
    """
    if file.content is None:
        return None, [
            problem(
                "key_pair",
                "The signing key cannot be read",
                f"{file.path}: {file.error}",
                "Name the right file with --key, or make a key: pushkeep keys generate --out vapid.pem",
            )
        ]
    try:
        key = SigningKey.read(file.content)
    except InvalidInput as error:
        return None, [
            problem(
                "key_pair",
                "The file holds no usable signing key",
                f"{file.path}: {error.message}",
                "Restore the file from a backup. A new key reaches none of the subscribers made with the old one.",
            )
        ]
    found = [ok("key_pair", "Key pair", f"{file.path} holds key {key.key_id}, public key {key.public_b64}")]
    if public is not None:
        found.append(_public_finding(file, key, public))
    found.extend(file_findings(file, "signing key"))
    return key, found


def _public_finding(file: KeyFile, key: SigningKey, public: str) -> Finding:
    try:
        SigningKey.read(file.content or b"", public=public)
    except InvalidInput as error:
        return problem(
            "public_key",
            "The page subscribes with another key",
            error.message,
            f"Put {key.public_b64} into the page as applicationServerKey, or sign with the key that belongs to the "
            f"page's; subscriptions made with the other one must be made anew.",
        )
    return ok("public_key", "Public key of the page", "belongs to the private key")
