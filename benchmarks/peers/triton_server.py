"""Runs the Triton of nvidia-pytriton, with its Python backend, on a model repository that it writes into a folder.

python triton_server.py FOLDER HTTP_PORT [GRPC_PORT]

The backend takes the packages of the first `python` on the path: with numpy 2 there it is silent and returns nothing.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

folder, http_port, *grpc_port = Path(sys.argv[1]), *sys.argv[2:]
writer = [sys.executable, ROOT / "deploy/triton/repository.py", folder / "repository", "--backend", "python"]
subprocess.run(writer, check=True)
packages = Path(sysconfig.get_path("purelib"))
triton = packages / "pytriton/tritonserver"
shutil.copytree(triton / "backends", folder / "backends")
stub = f"python_backend_stubs/{sysconfig.get_python_version()}/triton_python_backend_stub"
shutil.copy(triton / stub, folder / "backends/python")
libraries = [packages / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
settings = {"LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries))}
settings["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
flags = [f"--model-repository={folder}/repository", f"--backend-directory={folder}/backends", "--allow-metrics=false"]
flags += [f"--http-port={http_port}", "--http-address=127.0.0.1"]
flags += [f"--grpc-port={grpc_port[0]}", "--grpc-address=127.0.0.1"] if grpc_port else ["--allow-grpc=false"]
os.execve(triton / "bin/tritonserver", ["tritonserver", *flags], os.environ | settings)  # noqa: S606 (no shell is wanted)
