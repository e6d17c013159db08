"""The compiled files. Without a C compiler the package installs all the same, and uses numpy."""

from setuptools import Extension, setup

SOURCES = ["ckptedit/drift/_kernel.c", "ckptedit/files/_convert.c", "ckptedit/merging/_ties.c"]
FLAGS = ["-O3", "-ffp-contract=off", "-fno-trapping-math", "-fwrapv", "-Wno-psabi"]  # all exact

setup(
    ext_modules=[
        Extension(
            source.removesuffix(".c").replace("/", "."),
            [source],
            depends=["ckptedit/compiled.h", "ckptedit/drift/_kernel_lanes.h"],
            extra_compile_args=FLAGS,
            py_limited_api=True,
            optional=True,
        )
        for source in SOURCES
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
