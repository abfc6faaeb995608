"""What tests of a site with Web Push need: stock browsers, a desktop for them, and a machine without a network.

Install with ``pip install 'pushkeep[testing]'``. :mod:`.browser` says what a driven browser can do,
:mod:`.firefox` and :mod:`.chromium` start one, :mod:`.notifications` sees and clicks what they show, and
:mod:`.offline` runs a command where the outside world does not exist.
"""
