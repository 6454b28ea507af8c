"""An evaluator of saved Core ML programs, for machines without Core ML.

A `.mlpackage` holds a program in Apple's Model Intermediate Language. `package` reads it from the
files, and `evaluator` executes it with torch. Each operator has one function with the semantics and
input names of Apple's reference (https://apple.github.io/coremltools/source/
coremltools.converters.mil.mil.ops.defs.html).

Arithmetic is float32. After each operator, a result that the program declares as fp16 is rounded to
FP16, or becomes infinite on overflow. Apple does not document what compute units do inside an
operator (accumulator width, fused operators), and the evaluator does not imitate it. Its verdicts
are therefore `emulated`.
"""
