#include "tfplugin/registration.h"

#include <algorithm>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_def.pb.h"
#include "tensorflow/core/platform/logging.h"

namespace tenon::tf {
namespace {

// TF-TRT's own op never took doubles.
bool is_ours(const tensorflow::OpDef& op) {
  return std::any_of(op.attr().begin(), op.attr().end(), [](const tensorflow::OpDef::AttrDef& attr) {
    const auto& types = attr.allowed_values().list().type();
    return attr.name() == "InT" && std::find(types.begin(), types.end(), tensorflow::DT_DOUBLE) != types.end();
  });
}

[[maybe_unused]] const bool registered = register_plugin();

}  // namespace

bool register_plugin() {
  const tensorflow::OpDef* op = nullptr;
  if (tensorflow::OpRegistry::Global()->LookUpOpDef("TRTEngineOp", &op).ok()) {
    if (!is_ours(*op)) {
      LOG(ERROR) << "Tenon: this TensorFlow has a TRTEngineOp of its own, as GPU builds up to 2.17 have; the plug-in is "
                 << "not used. Use TensorFlow for CPUs, or TensorFlow 2.18 or newer";
    }
    return false;
  }
  register_ops();
  register_engine_kernel();
  register_resource_kernels();
  return true;
}

}  // namespace tenon::tf
