"""What tests of a site with Web Push need: a push service, stock browsers, a desktop for them, a machine offline.

Install with ``pip install 'pushkeep[testing]'``. :mod:`.plugin` has the fixtures for pytest (guide:
``docs/testing.md``), and :class:`.live.LivePushService` the same without it. Below them, :mod:`.browser` says what a
driven browser can do, :mod:`.browsers` starts one by name, :mod:`.notifications` sees and clicks what it shows, and
:mod:`.offline` runs a command where the outside world does not exist::

    async with (
        PushService() as service,
        notification_daemon() as desktop,
        launch("firefox", LaunchOptions(push_service=service, dbus_address=desktop.address)) as browser,
    ):
        await browser.set_permission("http://localhost:8200", "granted")
        page = await browser.open("http://localhost:8200")
        await page.click("#subscribe")
        ...  # send something
        await desktop.click(await desktop.next())
"""
