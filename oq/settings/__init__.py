"""Where the settings come from: flags beat the environment, which beats the file, then defaults.

What the keys are and what they may be is in `oq.words.config`. Here each value is traced to the
line, variable or flag that set it, so that an error can name it and `oq config show` can tell.

    load     the layers, put over each other and checked      layers     what was given, and where
    file     one YAML file, with the line of each value       shapes     the settings' types
    idle     what is set and has no effect
"""

from oq.settings.load import ENVIRONMENT, Settings, load_settings, variable

__all__ = ["ENVIRONMENT", "Settings", "load_settings", "variable"]
