// What the plug-in adds to TensorFlow when it is loaded.
#pragma once

namespace tenon::tf {

// Each is called once, by register_plugin().
void register_ops();
void register_engine_kernel();
void register_resource_kernels();

// Registers all of it, unless this TensorFlow has a TRTEngineOp: its own, which is told as an error, or that of another copy of this
// plug-in, which goes on serving the process. TensorFlow would end the process at the second registration.
bool register_plugin();

}  // namespace tenon::tf
