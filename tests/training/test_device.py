"""Where training runs."""

from __future__ import annotations

import os
import warnings

import jax
import pytest

from groundschool.errors import InputError
from groundschool.training import device as devices

on_cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="JAX has an accelerator here")


@pytest.mark.parametrize("name", ["nonsense", "cpu:99", "cpu:-1", "cpu:one", "cpu:0:0", ":"])
def test_a_device_that_is_not_there(name):
    with pytest.raises(InputError, match=rf"device '{name}' is not there; JAX sees .*:0"):
        devices.resolve_device(name)


@on_cpu
@pytest.mark.parametrize("name", ["gpu", "gpu:0", "cuda", "tpu"])
def test_no_accelerator(name):
    with pytest.raises(InputError, match="JAX sees cpu:0"):
        devices.resolve_device(name)


def test_devices_that_are_there():
    assert devices.resolve_device("cpu").platform == "cpu"
    assert devices.resolve_device("cpu:0") == jax.devices("cpu")[0]


@on_cpu
def test_a_gpu_left_idle_is_worth_a_warning(monkeypatch):
    monkeypatch.setattr(devices, "gpu_is_present", lambda: True)
    with pytest.warns(UserWarning, match=r"GPU is present but JAX runs on the CPU: pip install 'groundschool\[cuda\]'"):
        devices.resolve_device("auto")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        devices.resolve_device("cpu")  # as asked
        monkeypatch.setattr(devices, "gpu_is_present", lambda: False)
        devices.resolve_device("auto")


def test_description(monkeypatch):
    cpu = jax.devices("cpu")[0]
    assert devices.describe_device(cpu).startswith("cpu:0 (")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert f"{os.cpu_count()} threads" in devices.describe_device(cpu)
