#include "api/function_model.h"

#include <protozero/pbf_writer.hpp>

#include "api/segment_of_node.h"
#include "base/error.h"
#include "import/import.h"
#include "runtime/engine_kernel.h"
#include "runtime/executor.h"
#include "runtime/resources.h"
#include "savedmodel/load.h"
#include "savedmodel/write.h"

namespace tenon::api {
namespace {

using saved::AttrValue;

constexpr int kGraphDefNode = 1, kGraphDefLibrary = 2;
constexpr const char* kEngine = "engine";

std::string argument_name(std::size_t i) { return "argument_" + std::to_string(i); }

saved::PartialShape to_saved(const ShapeSpec& shape) { return {shape.known_rank, shape.dims}; }

saved::NodeDef argument(const EngineAttributes& attributes, const SegmentFunction& function, std::size_t i) {
  saved::NodeDef node;
  node.name = argument_name(i);
  const bool constant = i < function.constants.size() && function.constants[i].valid();
  const bool resource = attributes.input_types[i] == DataType::kResource;
  if (resource && constant) {  // a variable of which nobody but this function's graph knows
    node.op = "VarHandleOp";
    const auto& dims = function.constants[i].shape().dims();
    saved::set_attr(node.attrs, "dtype", AttrValue::of(function.constants[i].dtype()));
    saved::set_attr(node.attrs, "shape", AttrValue::of(saved::PartialShape{true, dims}));
    saved::set_attr(node.attrs, "shared_name", AttrValue::of(node.name));
    return node;
  }
  node.op = "Placeholder";
  saved::set_attr(node.attrs, "dtype", AttrValue::of(attributes.input_types[i]));
  saved::set_attr(node.attrs, "shape", AttrValue::of(to_saved(i < attributes.input_shapes.size() ? attributes.input_shapes[i] : ShapeSpec{})));
  return node;
}

AttrValue types(const std::vector<DataType>& list) {
  saved::AttrList attr;
  attr.types = list;
  return AttrValue::of(std::move(attr));
}

// A graph of nothing but the engine's node, over the library.
std::string graph_bytes(const EngineAttributes& attributes, const SegmentFunction& function) {
  std::string bytes;
  protozero::pbf_writer graph(bytes);
  saved::NodeDef engine;
  engine.name = kEngine;
  engine.op = "TRTEngineOp";
  for (std::size_t i = 0; i < attributes.input_types.size(); ++i) {
    graph.add_message(kGraphDefNode, saved::serialize(argument(attributes, function, i)));
    engine.inputs.push_back(argument_name(i));
  }
  saved::set_attr(engine.attrs, "InT", types(attributes.input_types));
  saved::set_attr(engine.attrs, "OutT", types(attributes.output_types));
  saved::set_attr(engine.attrs, "segment_func", AttrValue::of(saved::FunctionRef{function.name, {}}));
  graph.add_message(kGraphDefNode, saved::serialize(engine));
  graph.add_message(kGraphDefLibrary, function.library);
  return bytes;
}

}  // namespace

class FunctionModel::Constants : public WeightsProvider {
 public:
  explicit Constants(const SegmentFunction& function) : function_(function) {}
  Tensor variable(const std::string& name) override {
    for (std::size_t i = 0; i < function_.constants.size(); ++i) {
      if (name == argument_name(i) && function_.constants[i].valid()) return function_.constants[i];
    }
    fail(ErrorCode::kNotFound, "segment \"{}\": there is no value for \"{}\"", function_.name, name);
  }

 private:
  const SegmentFunction& function_;
};

FunctionModel::FunctionModel(SegmentFunction function, EngineAttributes attributes)
    : function_(std::move(function)), attributes_(std::move(attributes)) {
  const auto bytes = std::make_shared<std::string>(graph_bytes(attributes_, function_));
  model_ = saved::load_bytes(*bytes, bytes, "segment \"" + function_.name + "\"", saved::FileFormat::kBinary);
  importer::ImportOptions options;
  for (std::size_t i = 0; i < attributes_.input_types.size(); ++i) {
    const bool constant = i < function_.constants.size() && function_.constants[i].valid();
    if (attributes_.input_types[i] != DataType::kResource || !constant) options.inputs.push_back(argument_name(i));
  }
  for (std::size_t i = 0; i < attributes_.output_types.size(); ++i) options.outputs.push_back(fmt::format("{}:{}", kEngine, i));
  module_ = importer::import_module(model_, model_.meta_graph(), options);
  constants_ = std::make_unique<Constants>(function_);
}

FunctionModel::~FunctionModel() = default;

WeightsProvider& FunctionModel::weights() { return *constants_; }

Segment FunctionModel::segment() {
  const ir::Node* engine = module_->main->find(kEngine);
  TENON_CHECK(engine != nullptr);
  return native_segment(*module_, *engine, attributes_.name);
}

std::vector<Tensor> FunctionModel::run(std::span<const Tensor> inputs) {
  const ir::Node* engine = module_->main->find(kEngine);
  const auto kernel = std::make_shared<runtime::EngineKernel>(attributes_.name, engine->attr<ir::FunctionRef>("segment_func"), nullptr);
  const runtime::KernelLookup kernels = [&](const ir::Node& node) -> std::shared_ptr<runtime::Kernel> {
    return &node == engine ? kernel : nullptr;
  };
  runtime::SessionServices services(
      *module_, [this](const std::string& name) { return constants_->variable(name); }, kernels);
  const ir::Signature& signature = module_->signatures.at(0);
  std::vector<ir::Value> feeds, fetches;
  std::vector<Tensor> fed;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const ir::Node* node = module_->main->find(argument_name(i));
    if (node == nullptr || !node->is("placeholder")) continue;
    feeds.push_back(const_cast<ir::Node*>(node)->output());
    fed.push_back(inputs[i]);
  }
  for (const ir::Binding& output : signature.outputs) fetches.push_back(output.value);
  const runtime::Executor executor(*module_->main, std::move(feeds), std::move(fetches), {}, kernels);
  return executor.run(std::move(fed), services, nullptr, nullptr);
}

}  // namespace tenon::api
