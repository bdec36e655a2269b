#include "tenon_tensorflow/trt_convert_api.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "tenon/conversion.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/graph/tensor_id.h"
#include "tensorflow/core/public/session.h"
#include "tfplugin/freeze_graph.h"
#include "tfplugin/session_state.h"
#include "tfplugin/status.h"
#include "tfplugin/status_error.h"

namespace tenon::tf {
namespace {

using tensorflow::GraphDef;
using tensorflow::NodeDef;
using InputSets = std::vector<std::vector<tensorflow::Tensor>>;
using Names = std::vector<std::string>;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, "ConvertAndBuild: " + message);
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

void check_params(const TfTrtConversionParams& params, const InputSets& inputs) {
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

bool is_variable(const NodeDef& node) {
  return node.op() == "VarHandleOp" || node.op() == "VariableV2" || node.op() == "Variable";
}

// Adds a node of another graph with all that it needs. Does nothing and answers false where that needs a variable whose
// place a constant has taken.
bool add_with_needs(const GraphDef& source, const std::string& name, GraphDef& graph) {
  std::map<std::string, const NodeDef*> from, there;
  for (const NodeDef& node : source.node()) from[node.name()] = &node;
  for (const NodeDef& node : graph.node()) there[node.name()] = &node;
  GraphDef added;
  std::set<std::string> seen{name};
  for (Names next{name}; !next.empty();) {
    const auto found = from.find(next.back());
    next.pop_back();
    if (found == from.end()) return false;
    const NodeDef& node = *found->second;
    if (const auto other = there.find(node.name()); other == there.end()) {
      *added.add_node() = node;
    } else if (is_variable(node)) {
      return false;
    }
    for (const std::string& input : node.input()) {
      if (seen.insert(node_name(input)).second) next.push_back(node_name(input));
    }
  }
  graph.mutable_node()->MergeFrom(added.node());
  std::set<std::string> functions;
  for (const auto& function : graph.library().function()) functions.insert(function.signature().name());
  const tensorflow::FunctionLibraryDefinition library(tensorflow::OpRegistry::Global(), source.library());
  const tensorflow::FunctionDefLibrary needed = library.ReachableDefinitions(added).ToProto();
  for (const auto& function : needed.function()) {
    if (!functions.contains(function.signature().name())) *graph.mutable_library()->add_function() = function;
  }
  return true;
}

// Runs input sets through the engines of a conversion, which builds them.
class Builder {
 public:
  // `source`: whose tables are used, or null.
  Builder(const Conversion& conversion, const GraphDef& original, const Names& input_names, const Names& output_names,
          tensorflow::Session* source)
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
    if (source != nullptr) share_tables(original, *source, *session_);
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
                 const TfTrtConversionParams& params, tensorflow::Session* source = nullptr) {
  check_params(params, inputs);
  check_plug_in();
  check_names(graph, input_names, output_names, inputs);
  const Conversion conversion =
      Conversion::open_graph(bytes_of(graph), output_names, options_of(params, graph, input_names));
  WriteModelOptions write;
  write.allow_build_at_runtime = params.allow_build_at_runtime;
  if (params.convert_to_static_engine && !conversion.engines().empty()) {
    Builder(conversion, graph, input_names, output_names, source).build(inputs, params);
    write.engines = stored_engines(conversion);
  }
  return graph_of(conversion, write, graph, input_names);
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

// The node that the loader runs once, empty if there is none.
std::string initializer_of(const tensorflow::MetaGraphDef& meta_graph) {
  constexpr const char* kKey = "__saved_model_init_op";
  if (const auto it = meta_graph.signature_def().find(kKey); it != meta_graph.signature_def().end()) {
    const auto output = it->second.outputs().find(kKey);
    if (output != it->second.outputs().end()) return node_name(output->second.name());
  }
  for (const char* key : {"saved_model_main_op", "legacy_init_op"}) {
    const auto it = meta_graph.collection_def().find(key);
    if (it != meta_graph.collection_def().end() && it->second.node_list().value_size() > 0)
      return node_name(it->second.node_list().value(0));
  }
  return "";
}

// What fills tables, and the tensors of the assets' paths, stay as the loader knows them.
void keep_initializer(const tensorflow::MetaGraphDef& meta_graph, GraphDef& graph) {
  const std::string initializer = initializer_of(meta_graph);
  if (initializer.empty()) return;
  if (!add_with_needs(meta_graph.graph_def(), initializer, graph)) {
    LOG(WARNING) << "Tenon: ConvertAndBuild: the initializer " << initializer
                 << " is not kept, for it uses a variable that is a constant now; fill the tables in another way";
    return;
  }
  for (const auto& asset : meta_graph.asset_file_def())
    add_with_needs(meta_graph.graph_def(), node_name(asset.tensor_info().name()), graph);
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
    GraphDef converted = convert(frozen, input_names, output_names, inputs, conversion_params, &session);
    if (has_tables(frozen)) keep_initializer(bundle->meta_graph_def, converted);
    return converted;
  });
}

}  // namespace tenon::tf
