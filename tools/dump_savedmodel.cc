// Writes what tools/check_savedmodel.py compares with TensorFlow.
//
//   dump_savedmodel variables FILE     every variable of the real models: model, name, type, hash of its content
//   dump_savedmodel constants FILE     the same for their constants
//   dump_savedmodel bundle PREFIX      a bundle written by Tenon, and PREFIX.list as above
//   dump_savedmodel rewritten FOLDER   every model after it was read into structs and written from them, and its origin
#include <fstream>
#include <functional>
#include <iostream>
#include <map>

#include "base/hash.h"
#include "savedmodel/bundle_writer.h"
#include "savedmodel/load.h"
#include "savedmodel/variables.h"
#include "savedmodel/write.h"
#include "tests/savedmodel/models.h"

namespace tenon::saved {
namespace {

std::vector<const NodeDef*> all_nodes(const MetaGraph& meta_graph) {
  std::vector<const NodeDef*> nodes;
  for (const NodeDef& node : meta_graph.graph.nodes) nodes.push_back(&node);
  for (const FunctionDef& function : meta_graph.graph.functions) {
    for (const NodeDef& node : function.nodes) nodes.push_back(&node);
  }
  return nodes;
}

std::string content_hash(const Tensor& tensor) {
  std::string bytes;
  if (tensor.dtype() == DataType::kString) {
    for (const std::string& value : tensor.flat<std::string>()) bytes += value + '\n';
  } else {
    bytes.assign(static_cast<const char*>(tensor.data()), tensor.byte_size());
  }
  return hash128(bytes).to_string();
}

void print(std::ostream& out, const std::filesystem::path& model, const std::string& name, const Tensor& tensor) {
  out << model.string() << '\t' << name << '\t' << tensor.describe() << '\t' << content_hash(tensor) << '\n';
}

void dump_variables(const std::filesystem::path& path) {
  std::ofstream out(path);
  for (const std::filesystem::path& found : testing::all_models()) {
    const Model model = load(found);
    if (model.variables_prefix().empty()) continue;
    const Bundle bundle = Bundle::open(model.variables_prefix());
    for (const BundleEntry& entry : bundle.entries()) print(out, found, entry.key, bundle.read(entry.key));
  }
}

void dump_constants(const std::filesystem::path& path) {
  std::ofstream out(path);
  for (const std::filesystem::path& found : testing::all_models()) {
    const Model model = load(found);
    for (const MetaGraph& meta_graph : model.meta_graphs) {
      for (const NodeDef* node : all_nodes(meta_graph)) {
        if (node->op == "Const") print(out, found, node->name, node->tensor_attr("value").decode());
      }
    }
  }
}

void dump_bundle(const std::filesystem::path& path) {
  const Bundle original = Bundle::open(std::filesystem::path(TENON_SOURCE_DIR) / "tests/savedmodel/data/every_dtype");
  BundleWriter writer(path, {.shards = 2, .compress_index = true});
  for (const BundleEntry& entry : original.entries()) writer.add(entry.key, original.read(entry.key), entry.key.size() % 2);
  Tensor part(DataType::kFloat32, Shape{150, 2});
  for (std::int64_t start : {0, 150}) {
    std::fill(part.flat<float>().begin(), part.flat<float>().end(), static_cast<float>(start));
    writer.add_slice("sliced", Shape{300, 2}, {{{start, 150}, {}}}, part);
  }
  writer.finish();
  std::ofstream out(path.string() + ".list");
  const Bundle written = Bundle::open(path);
  for (const BundleEntry& entry : written.entries()) print(out, path, entry.key, written.read(entry.key));
}

void dump_rewritten(const std::filesystem::path& path) {
  const std::vector<std::filesystem::path> models = testing::all_models();
  for (std::size_t i = 0; i < models.size(); ++i) {
    const Model model = load(models[i]);
    WriteOptions options;
    MetaGraphEdit& edit = options.edits.emplace_back();
    edit.nodes.emplace();
    edit.functions.emplace();
    for (const NodeDef& node : model.meta_graphs[0].graph.nodes) edit.nodes->push_back(node.edited());
    for (const FunctionDef& function : model.meta_graphs[0].graph.functions) {
      edit.functions->push_back(function.edited());
      for (NodeDef& node : edit.functions->back().nodes) node = node.edited();
    }
    write(model, path / std::to_string(i), options);
    std::ofstream(path / std::to_string(i) / "origin") << models[i].string();
  }
}

}  // namespace

int run(const std::string& what, const std::filesystem::path& path) {
  const std::map<std::string, std::function<void(const std::filesystem::path&)>> commands = {
      {"variables", dump_variables}, {"constants", dump_constants}, {"bundle", dump_bundle}, {"rewritten", dump_rewritten}};
  const auto command = commands.find(what);
  if (command == commands.end()) return 2;
  command->second(path);
  return 0;
}

}  // namespace tenon::saved

int main(int argc, char** argv) {
  const int code = argc == 3 ? tenon::saved::run(argv[1], argv[2]) : 2;
  if (code != 0) std::cerr << "usage: dump_savedmodel variables|constants|bundle|rewritten PATH\n";
  return code;
}
