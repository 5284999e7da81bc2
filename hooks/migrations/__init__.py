"""What copier runs when an update crosses a version that cannot be merged.

``copier.yml`` names the version, and only an update across it needs ``--trust``::

    _migrations:
      - version: v0.3.0
        command:
          - "{{ _copier_python }}"
          - "{{ _copier_conf.src_path }}/hooks/migrations"
          - rename-key
          - tracking.params.long_params_strategy
          - tracking.params.too_long

It runs in copier's own Python, so it uses what copier brings: PyYAML, nothing to install.
"""
