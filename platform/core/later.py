"""Modules that are loaded when somebody needs them, in place of when somebody imports them."""

import importlib
import importlib.util
import sys
from importlib import metadata
from types import ModuleType
from typing import Any


class Later(ModuleType):
    """Stands for a module until anything but its version is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return metadata.version(self.__name__)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        real = importlib.import_module(self.__name__)
        self.__dict__.update(real.__dict__)
        return getattr(real, name)


def load_later(*names: str) -> None:
    """Let these modules, as far as they are installed and not loaded, be loaded by their first use.

    For what a library imports in every process and hardly any of them uses. Call it before that library is imported.
    """
    for name in names:
        if name not in sys.modules and (spec := importlib.util.find_spec(name)) is not None:
            module = sys.modules[name] = Later(name)
            module.__spec__, module.__file__ = spec, spec.origin   # which whoever looks through all modules asks for
            if spec.submodule_search_locations is not None:   # which an import of its version alone looks for
                module.__path__ = spec.submodule_search_locations
