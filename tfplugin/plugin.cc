// The whole plug-in as one source: TensorFlow's headers cost far more to read than this code, and are read once.
#include "tfplugin/engine_file.cc"
#include "tfplugin/engine_node.cc"
#include "tfplugin/engine_op.cc"
#include "tfplugin/environment.cc"
#include "tfplugin/native_segment.cc"
#include "tfplugin/ops.cc"
#include "tfplugin/resource_ops.cc"
#include "tfplugin/tensors.cc"
