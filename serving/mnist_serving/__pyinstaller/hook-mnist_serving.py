"""PyInstaller's hook: the model and the page are files, which it does not find by following imports."""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("mnist_serving")
