#include "tenon_tensorflow/trt_convert_api.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "tenon/conversion.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"
#include "tensorflow/core/framework/tensor_util.h"
#include "tensorflow/core/graph/tensor_id.h"
#include "tensorflow/core/public/session.h"
#include "tfplugin/freeze_graph.h"
#include "tfplugin/status.h"

namespace tenon::tf {
namespace {

using tensorflow::GraphDef;
using tensorflow::NodeDef;
using InputSets = std::vector<std::vector<tensorflow::Tensor>>;
using Names = std::vector<std::string>;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, "ConvertAndBuild: " + message);
}

// TensorFlow's errors on their way through code that throws; the status is kept as it is.
struct StatusError {
  absl::Status status;
};

void check(const absl::Status& status) {
  if (!status.ok()) throw StatusError{status};
}

// What `work` returns, or what it throws as a status.
template <class F>
absl::StatusOr<GraphDef> graph_or_status(F&& work) {
  GraphDef graph;
  absl::Status inner;
  const absl::Status status = caught([&] {
    try {
      graph = work();
    } catch (const StatusError& error) {
      inner = error.status;
    }
  });
  if (!status.ok()) return status;
  if (!inner.ok()) return inner;
  return graph;
}

void check(const TfTrtConversionParams& params, const InputSets& inputs) {
  if (params.precision_mode == TrtPrecisionMode::INT8 && params.use_calibration) {
    refuse("INT8 with use_calibration is not implemented; set use_calibration to false");
  }
  if (params.convert_to_static_engine && inputs.empty()) {
    refuse("convert_to_static_engine needs inputs to build the engines with; give some, or set it to false");
  }
  if (!params.convert_to_static_engine) {
    LOG(WARNING) << "Tenon: ConvertAndBuild: engines that are not static cannot be saved apart from the graph; they are "
                    "built when they are first called";
    if (!params.allow_build_at_runtime) {
      LOG(WARNING)
          << "Tenon: ConvertAndBuild: engines are neither built now nor may be built at run time, so none will be used";
    }
  }
}

void check_plug_in() {
  const tensorflow::OpDef* op = nullptr;
  if (!tensorflow::OpRegistry::Global()->LookUpOpDef("TRTEngineOp", &op).ok()) {
    throw StatusError{
        absl::FailedPreconditionError("ConvertAndBuild: TensorFlow does not know TRTEngineOp; link or load libtenon_tf.so "
                                      "before (dlopen, TF_LoadLibrary)")};
  }
}

std::string node_name(const std::string& tensor) { return std::string(tensorflow::ParseTensorName(tensor).node()); }

const NodeDef* find_node(const GraphDef& graph, const std::string& name) {
  const auto it =
      std::find_if(graph.node().begin(), graph.node().end(), [&](const NodeDef& node) { return node.name() == name; });
  return it == graph.node().end() ? nullptr : &*it;
}

void check_names(const GraphDef& graph, const Names& input_names, const Names& output_names, const InputSets& inputs) {
  for (const Names* names : {&input_names, &output_names}) {
    for (const std::string& name : *names) {
      if (find_node(graph, node_name(name)) == nullptr) refuse("the graph has no tensor \"" + name + "\"");
    }
  }
  for (const std::string& name : input_names) {
    if (find_node(graph, node_name(name))->op() == "Const")
      refuse("the input \"" + name + "\" is a constant; make it a Placeholder");
  }
  if (output_names.empty()) refuse("no output is named");
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].size() == input_names.size()) continue;
    refuse("input set " + std::to_string(i) + " has " + std::to_string(inputs[i].size()) + " tensor(s), there are " +
           std::to_string(input_names.size()) + " inputs");
  }
}

ConversionOptions options_of(const TfTrtConversionParams& params, const GraphDef& graph, const Names& input_names) {
  ConversionOptions options;
  static constexpr const char* kPrecisions[] = {"FP32", "FP16", "INT8"};
  options.precision = kPrecisions[static_cast<int>(params.precision_mode)];
  options.minimum_segment_size = params.minimum_segment_size;
  options.mode = params.use_dynamic_shape ? ShapeMode::kProfiles : ShapeMode::kImplicitBatch;
  options.strategy = params.profile_strategy;
  options.maximum_cached_engines = params.max_cached_engines;
  options.max_workspace_size_bytes = params.max_workspace_size_bytes;
  options.use_calibration = params.use_calibration;
  // What is fed must be there to be fed.
  for (const std::string& name : input_names) {
    const NodeDef* node = find_node(graph, node_name(name));
    if (node->op() != "Placeholder") options.node_denylist.push_back(node->name());
  }
  return options;
}

std::string bytes_of(const GraphDef& graph) {
  std::string bytes;
  if (!graph.SerializeToString(&bytes)) refuse("the graph has 2 GB or more");
  return bytes;
}

// The converted graph; inputs that it does not need stay too.
GraphDef graph_of(const Conversion& conversion, const WriteModelOptions& write, const GraphDef& original,
                  const Names& input_names) {
  GraphDef graph;
  if (!graph.ParseFromString(conversion.graph_def(write)))
    refuse("the converted graph, its engines included, has 2 GB or more");
  for (const std::string& tensor : input_names) {
    const std::string name = node_name(tensor);
    if (find_node(graph, name) != nullptr) continue;
    const NodeDef& node = *find_node(original, name);
    if (node.input_size() != 0)
      refuse("nothing needs the input \"" + tensor + "\", which is computed from others; leave it out");
    *graph.add_node() = node;
  }
  *graph.mutable_versions() = original.versions();
  return graph;
}

// Runs input sets through the engines of a conversion, which builds them.
class Builder {
 public:
  Builder(const Conversion& conversion, const GraphDef& original, const Names& input_names, const Names& output_names)
      : conversion_(conversion), input_names_(input_names), output_names_(output_names) {
    WriteModelOptions write;
    write.in_process = true;
    tensorflow::SessionOptions options;
    // The graph is run a few times only, and as it is.
    options.config.mutable_graph_options()->mutable_rewrite_options()->set_disable_meta_optimizer(true);
    options.config.mutable_graph_options()->mutable_optimizer_options()->set_opt_level(tensorflow::OptimizerOptions::L0);
    tensorflow::Session* session = nullptr;
    check(tensorflow::NewSession(options, &session));
    session_.reset(session);
    check(session_->Create(graph_of(conversion, write, original, input_names)));
  }
  ~Builder() { session_->Close().IgnoreError(); }

  void build(const InputSets& inputs, const TfTrtConversionParams& params) {
    if (params.use_dynamic_shape && inputs.size() > 1) {
      collect_shapes(true);
      for (const auto& set : inputs) run(set);
      collect_shapes(false);
      run(inputs.front());
    } else {
      for (const auto& set : inputs) run(set);
    }
  }

 private:
  void collect_shapes(bool on) {
    for (const ConvertedEngine& engine : conversion_.engines()) conversion_.resource(engine.name)->collect_shapes(on);
  }

  void run(const std::vector<tensorflow::Tensor>& inputs) {
    std::vector<std::pair<std::string, tensorflow::Tensor>> feeds;
    for (std::size_t i = 0; i < inputs.size(); ++i) feeds.emplace_back(input_names_[i], inputs[i]);
    std::vector<tensorflow::Tensor> outputs;
    check(session_->Run(feeds, output_names_, {}, &outputs));
  }

  const Conversion& conversion_;
  const Names& input_names_;
  const Names& output_names_;
  std::unique_ptr<tensorflow::Session> session_;
};

std::string why_not_built(const EngineResource& resource) {
  for (const EngineEntry& entry : resource.entries()) {
    if (!entry.failure.empty()) return entry.failure;
  }
  return "no set of inputs reached it with a shape that an engine can serve";
}

std::map<std::string, std::string> stored_engines(const Conversion& conversion) {
  std::map<std::string, std::string> engines;
  for (const ConvertedEngine& engine : conversion.engines()) {
    const auto resource = conversion.resource(engine.name);
    std::string bytes = resource->serialize();
    if (bytes.empty()) {
      LOG(WARNING) << "Tenon: ConvertAndBuild: " << engine.name << " has no engine: " << why_not_built(*resource);
    } else {
      engines.emplace(engine.name, std::move(bytes));
    }
  }
  return engines;
}

GraphDef convert(const GraphDef& graph, const Names& input_names, const Names& output_names, const InputSets& inputs,
                 const TfTrtConversionParams& params) {
  check(params, inputs);
  check_plug_in();
  check_names(graph, input_names, output_names, inputs);
  const Conversion conversion =
      Conversion::open_graph(bytes_of(graph), output_names, options_of(params, graph, input_names));
  WriteModelOptions write;
  write.allow_build_at_runtime = params.allow_build_at_runtime;
  if (params.convert_to_static_engine && !conversion.engines().empty()) {
    Builder(conversion, graph, input_names, output_names).build(inputs, params);
    write.engines = stored_engines(conversion);
  }
  return graph_of(conversion, write, graph, input_names);
}

// The name under which the session's devices know a variable.
std::string shared_name(const NodeDef& node) {
  const auto it = node.attr().find("shared_name");
  return it == node.attr().end() || it->second.s().empty() ? node.name() : it->second.s();
}

tensorflow::Tensor resource_value(tensorflow::Session& session, const NodeDef& node) {
  const tensorflow::DeviceMgr* devices = nullptr;
  check(session.LocalDeviceManager(&devices));
  for (tensorflow::Device* device : devices->ListDevices()) {
    tensorflow::ResourceMgr* resources = device->resource_manager();
    const auto it = node.attr().find("container");
    const std::string& container =
        it == node.attr().end() || it->second.s().empty() ? resources->default_container() : it->second.s();
    tensorflow::Var* found = nullptr;
    if (!resources->Lookup<tensorflow::Var>(container, shared_name(node), &found).ok()) continue;
    const tensorflow::core::RefCountPtr<tensorflow::Var> variable(found);
    if (device->device_type() != tensorflow::DEVICE_CPU) {
      throw Error(ErrorCode::kUnsupported,
                  "variable \"" + node.name() + "\" lies on " + device->name() + "; load the model on CPUs");
    }
    tensorflow::tf_shared_lock lock(*variable->mu());
    if (variable->is_initialized) return tensorflow::tensor::DeepCopy(*variable->tensor());
  }
  throw Error(ErrorCode::kNotFound,
              "variable \"" + node.name() +
                  "\" has no value in the bundle's session: neither the checkpoint nor an initializer gave it one");
}

tensorflow::Tensor variable_value(tensorflow::Session& session, const NodeDef& node) {
  if (node.op() == "VarHandleOp") return resource_value(session, node);
  std::vector<tensorflow::Tensor> values;
  check(session.Run({}, {node.name() + ":0"}, {}, &values));
  return values.front();
}

const tensorflow::SignatureDef& signature_of(const tensorflow::SavedModelBundle& bundle, const std::string& key) {
  const auto& signatures = bundle.GetSignatures();
  if (const auto it = signatures.find(key); it != signatures.end()) return it->second;
  std::set<std::string> keys;
  for (const auto& [name, signature] : signatures) keys.insert(name);
  std::string message = "ConvertAndBuild: the model has no signature \"" + key + "\"; it has";
  for (const std::string& name : keys) message += " \"" + name + "\"";
  throw Error(ErrorCode::kNotFound, message);
}

Names tensor_names(const google::protobuf::Map<std::string, tensorflow::TensorInfo>& tensors) {
  std::map<std::string, std::string> names;
  for (const auto& [key, info] : tensors) {
    if (info.name().empty()) refuse("\"" + key + "\" of the signature is no dense tensor");
    names[key] = info.name();
  }
  Names result;
  for (const auto& [key, name] : names) result.push_back(name);
  return result;
}

}  // namespace

absl::StatusOr<GraphDef> ConvertAndBuild(const GraphDef& frozen_graph_def, const Names& input_names,
                                         const Names& output_names, const InputSets& inputs,
                                         const TfTrtConversionParams& conv_params) {
  return graph_or_status([&] { return convert(frozen_graph_def, input_names, output_names, inputs, conv_params); });
}

absl::StatusOr<GraphDef> ConvertAndBuild(tensorflow::SavedModelBundle* bundle, const std::string& signature_key,
                                         const InputSets& inputs, const TfTrtConversionParams& conversion_params) {
  return graph_or_status([&] {
    if (bundle == nullptr || bundle->GetSession() == nullptr) refuse("the bundle is not loaded");
    const tensorflow::SignatureDef& signature = signature_of(*bundle, signature_key);
    const Names input_names = tensor_names(signature.inputs()), output_names = tensor_names(signature.outputs());
    tensorflow::Session& session = *bundle->GetSession();
    // Inputs are frozen with the rest, so that those that nothing needs stay too.
    Names kept = output_names;
    kept.insert(kept.end(), input_names.begin(), input_names.end());
    const GraphDef frozen = freeze_graph(bundle->meta_graph_def.graph_def(), kept,
                                         [&](const NodeDef& node) { return variable_value(session, node); });
    return convert(frozen, input_names, output_names, inputs, conversion_params);
  });
}

}  // namespace tenon::tf
