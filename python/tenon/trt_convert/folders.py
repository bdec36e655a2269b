"""Folders of models: temporary ones, and replacing what is saved already."""
import os
import shutil
import tempfile
import weakref

# What belongs to a SavedModel at the top of its folder; everything else in a folder that is saved over stays.
_OWN = {"saved_model.pb", "saved_model.pbtxt", "saved_model.cpb", "variables", "assets", "assets.extra", "debug", "fingerprint.pb"}


class TemporaryFolder:
    """A folder that is deleted when nobody holds this object any more, or at exit."""

    def __init__(self):
        self._root = tempfile.mkdtemp(prefix="tenon-")
        self.path = os.path.join(self._root, "model")
        self.delete = weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)


class Replacement:
    """Writes a model beside its destination and puts it there in one go.

    with Replacement(destination) as staged: write a folder at the path `staged`. When the block raises, the destination is as it was.
    As when TensorFlow saves, missing parents are made, and files that are no part of a SavedModel stay.
    """

    def __init__(self, destination):
        self._target = os.path.realpath(os.fspath(destination))
        if os.path.exists(self._target) and not os.path.isdir(self._target):
            raise NotADirectoryError(f"{self._target} is no folder; a model cannot be saved there")

    def __enter__(self):
        parent = os.path.dirname(self._target)
        os.makedirs(parent, exist_ok=True)
        # The folder itself may be all that can be written to: a volume, the working folder of a container.
        self._inside = os.path.isdir(self._target) and (os.path.ismount(self._target) or not os.access(parent, os.W_OK | os.X_OK))
        self._stage = tempfile.mkdtemp(prefix=".tenon-", dir=self._target if self._inside else parent)
        return os.path.join(self._stage, "model")

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self._put()
        finally:
            shutil.rmtree(self._stage, ignore_errors=True)

    def _put(self):
        staged = os.path.join(self._stage, "model")
        if self._inside:
            self._merge(staged)
        elif not os.path.exists(self._target):
            os.rename(staged, self._target)
        else:
            self._swap(staged)

    def _swap(self, staged):
        old = os.path.join(self._stage, "old")
        shutil.copymode(self._target, staged)
        os.rename(self._target, old)
        try:
            os.rename(staged, self._target)
        except OSError:
            os.rename(old, self._target)
            raise
        for name in os.listdir(old):
            if name not in _OWN:
                os.rename(os.path.join(old, name), os.path.join(self._target, name))

    def _merge(self, staged):
        """The graph comes last, so that what it names is there."""
        for name in sorted(_OWN - set(os.listdir(staged))):
            self._remove(os.path.join(self._target, name))
        for name in sorted(os.listdir(staged), key=lambda entry: entry.startswith("saved_model")):
            path = os.path.join(self._target, name)
            if os.path.isdir(path):
                self._remove(path)
            os.replace(os.path.join(staged, name), path)

    @staticmethod
    def _remove(path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
