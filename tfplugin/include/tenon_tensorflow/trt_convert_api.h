// TF-TRT's C++ entry points on TensorFlow's own types: a graph or a loaded SavedModel in, a GraphDef with engines out. A
// program that used tensorflow::tensorrt's names includes this header instead and takes them from tenon::tf. What it needs
// is the CMake target tenon_tensorflow (-DTENON_TENSORFLOW=ON), or this folder's sources and libtenon.so; the plug-in
// libtenon_tf.so must be loaded.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/engine.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/tensor.h"

namespace tenon::tf {

// A permission to compute with less than float32, as in tenon::ConversionOptions.
enum class TrtPrecisionMode { FP32, FP16, INT8 };

// kRange, kOptimal, kRangeOptimal, kImplicitBatchModeCompatible.
using ProfileStrategy = tenon::ProfileStrategy;

// TF-TRT's names and defaults; each is honoured.
struct TfTrtConversionParams {
  // An upper bound of an engine's scratch memory, written into the nodes; engines on CPUs have no such workspace.
  std::int64_t max_workspace_size_bytes = std::numeric_limits<std::int64_t>::max() - 512;
  TrtPrecisionMode precision_mode = TrtPrecisionMode::FP32;
  // Segments with fewer nodes stay native; -1: nothing is converted.
  int minimum_segment_size = 3;
  // Per engine node, in implicit batch mode.
  int max_cached_engines = 1;
  // Means calibration, which these functions do not have: set it to false for INT8.
  bool use_calibration = true;
  // true: profiles by `profile_strategy`. false: implicit batch mode, an engine built for N serves batches of 1 to N.
  bool use_dynamic_shape = true;
  ProfileStrategy profile_strategy = ProfileStrategy::kRange;
  // Whether nodes build engines for shapes that theirs do not serve, when such a call comes.
  bool allow_build_at_runtime = true;
  // Engines are built here, from `inputs`, and stored in the nodes ("serialized_segment"). false: nodes build them at their
  // first call.
  bool convert_to_static_engine = true;
};

// Converts a frozen graph. `input_names`, `output_names`: of tensors, such as "x" or "x:0"; these stay there to be fed and
// fetched. `inputs`: complete sets of inputs, each in the order of `input_names`. With use_dynamic_shape and several sets
// the shapes of all make the profiles; then, and in implicit batch mode, engines are built by running the sets in their
// order, as far as max_cached_engines allows. Nodes that no set reaches stay without an engine and say so in a warning.
//
// The function library of the result holds each engine's native segment. InvalidArgument: bad parameters, INT8 with
// use_calibration, a static conversion without inputs, a name that the graph does not have, more or fewer tensors in a set
// than names, a result of 2 GB or more. FailedPrecondition: the plug-in is not loaded. Else what conversion or the run of an
// input set gives.
absl::StatusOr<tensorflow::GraphDef> ConvertAndBuild(const tensorflow::GraphDef& frozen_graph_def,
                                                     const std::vector<std::string>& input_names,
                                                     const std::vector<std::string>& output_names,
                                                     const std::vector<std::vector<tensorflow::Tensor>>& inputs,
                                                     const TfTrtConversionParams& conv_params);

// The same for one signature of a loaded SavedModel; its variables become constants with the values that they have in the
// bundle's session. Input sets are in the alphabetical order of the signature's keys. The tensor names of the signature stay
// valid in the result. Engines are built with the bundle's tables. The result holds no contents of tables; where there are any,
// the loader's initializer stays in it with all that it needs: run it once, and feed it the assets' paths, as the loader does.
// NotFound: the signature, or a variable without a value. Unimplemented: the signature writes to a variable, or uses one in a
// way that a constant cannot be used, or the session is not of this process.
absl::StatusOr<tensorflow::GraphDef> ConvertAndBuild(
    tensorflow::SavedModelBundle* bundle, const std::string& signature_key = "serving_default",
    const std::vector<std::vector<tensorflow::Tensor>>& inputs = {},
    const TfTrtConversionParams& conversion_params = TfTrtConversionParams());

}  // namespace tenon::tf
