"""The one compiled file. Without a C compiler the package installs all the same, and uses numpy."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "ckptedit.diff._kernel",
            ["ckptedit/diff/_kernel.c"],
            extra_compile_args=["-O3", "-ffp-contract=off", "-fwrapv", "-Wno-psabi"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
