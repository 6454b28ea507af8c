"""An evaluator of saved Core ML programs, for machines that Core ML does not run on.

A `.mlpackage` holds a program in Apple's Model Intermediate Language. `package` reads it back from
the files, `evaluator` executes it with torch. One function per operator, in tables by meaning;
their semantics are those of Apple's reference (https://apple.github.io/coremltools/source/
coremltools.converters.mil.mil.ops.defs.html), whose names of inputs they use.

Arithmetic is float32. A result that the program declares fp16 is rounded to it after each
operator, so that FP16's range and grid show (overflow gives infinity) wherever a tensor is stored.
What a device's compute units do inside an operator (the width of an accumulator, fused operators)
Apple does not document, and it is not imitated: a verdict got this way is `emulated`.
"""
