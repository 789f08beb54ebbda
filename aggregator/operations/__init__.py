"""Operations: what the person needs who runs an installation: backups, metrics, a look at its health, systemd units.

May import support, intake, waterfall, settings, store, core. Begin with `backup.py`.
"""
