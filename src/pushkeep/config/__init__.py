"""The settings of a Pushkeep server: one typed table, three sources, no guessing.

A value comes from, later ones winning: ``pushkeep.toml`` in the data directory, the environment (``PUSHKEEP_`` and
the name in capitals; for the secret master key also ``…_FILE`` with the path of a file that holds it), the command
line.
"""

from pushkeep.config.setting import Setting
from pushkeep.config.sources import default_public_url, load_settings, settings_environment
from pushkeep.config.table import SETTINGS, Settings, settings_reference

__all__ = [
    "SETTINGS",
    "Setting",
    "Settings",
    "default_public_url",
    "load_settings",
    "settings_environment",
    "settings_reference",
]
