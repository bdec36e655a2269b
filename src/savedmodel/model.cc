#include "savedmodel/model.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"

namespace tenon::saved {
namespace {

constexpr std::string_view kInitSignature = "__saved_model_init_op";
constexpr std::string_view kTrainSignature = "__saved_model_train_op";

template <class T>
const T* find_by(const std::vector<T>& list, std::string T::*key, std::string_view wanted) noexcept {
  const auto found = std::find_if(list.begin(), list.end(), [&](const T& entry) { return entry.*key == wanted; });
  return found == list.end() ? nullptr : &*found;
}

std::vector<std::string> sorted(std::vector<std::string> tags) {
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  return tags;
}

std::string describe_tags(const std::vector<MetaGraph>& meta_graphs) {
  std::string text;
  for (const MetaGraph& meta_graph : meta_graphs) {
    text += fmt::format("{}[{}]", text.empty() ? "" : ", ", fmt::join(meta_graph.tags, ","));
  }
  return text;
}

const MetaGraph* find_tagged(const std::vector<MetaGraph>& meta_graphs, const std::vector<std::string>& tags) {
  const std::vector<std::string> wanted = sorted(tags);
  const auto found = std::find_if(meta_graphs.begin(), meta_graphs.end(),
                                  [&](const MetaGraph& candidate) { return sorted(candidate.tags) == wanted; });
  return found == meta_graphs.end() ? nullptr : &*found;
}

// "node:0" or "^node" -> "node"
std::string node_of(std::string_view tensor) {
  if (tensor.starts_with('^')) tensor.remove_prefix(1);
  return std::string(tensor.substr(0, tensor.rfind(':')));
}

}  // namespace

bool is_internal_signature(std::string_view key) noexcept { return key == kInitSignature || key == kTrainSignature; }

const TensorInfo* SignatureDef::find_input(std::string_view wanted) const noexcept {
  return find_by(inputs, &TensorInfo::key, wanted);
}

const TensorInfo* SignatureDef::find_output(std::string_view wanted) const noexcept {
  return find_by(outputs, &TensorInfo::key, wanted);
}

const SignatureDef* MetaGraph::find_signature(std::string_view key) const noexcept {
  return find_by(signatures, &SignatureDef::key, key);
}

const Collection* MetaGraph::find_collection(std::string_view name) const noexcept {
  return find_by(collections, &Collection::name, name);
}

const FunctionDef* MetaGraph::find_function(std::string_view name) const noexcept {
  return find_by(graph.functions, &FunctionDef::name, name);
}

const NodeDef* MetaGraph::find_node(std::string_view name) const noexcept {
  return find_by(graph.nodes, &NodeDef::name, name);
}

std::string MetaGraph::init_op() const {
  if (const SignatureDef* signature = find_signature(kInitSignature)) {
    const TensorInfo* output = signature->find_output(kInitSignature);
    if (output == nullptr && signature->outputs.size() == 1) output = &signature->outputs.front();
    if (output == nullptr) fail(ErrorCode::kInvalidModel, "signature \"{}\" has no output of that name", kInitSignature);
    return node_of(output->name);
  }
  const Collection* collection = find_collection("saved_model_main_op");
  if (collection == nullptr) collection = find_collection("legacy_init_op");
  if (collection == nullptr) return {};
  if (collection->node_list.size() != 1) {
    fail(ErrorCode::kInvalidModel, "collection \"{}\" names {} nodes, wanted one initializer", collection->name,
         collection->node_list.size());
  }
  return node_of(collection->node_list.front());
}

const MetaGraph& Model::meta_graph(const std::vector<std::string>& tags) const {
  const MetaGraph* found = nullptr;
  if (!tags.empty()) {
    found = find_tagged(meta_graphs, tags);
  } else if (meta_graphs.size() == 1) {
    found = &meta_graphs.front();
  } else {
    found = find_tagged(meta_graphs, {"serve"});
  }
  if (found != nullptr) return *found;
  fail(ErrorCode::kNotFound, "\"{}\" has no graph with the tags [{}]; it has {}", file.string(),
       tags.empty() ? "serve" : fmt::format("{}", fmt::join(tags, ",")),
       meta_graphs.empty() ? "none" : describe_tags(meta_graphs));
}

std::filesystem::path Model::variables_prefix() const {
  if (directory.empty()) return {};
  std::error_code error;
  const std::filesystem::path folder = directory / "variables";
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().starts_with("variables.")) return folder / "variables";
  }
  return {};
}

std::filesystem::path Model::asset_path(const AssetFileDef& asset) const {
  const std::filesystem::path name(asset.filename);
  const bool leads_out = name.is_absolute() || std::find(name.begin(), name.end(), "..") != name.end();
  if (leads_out || name.empty() || asset.filename.find('\0') != std::string::npos) {
    fail(ErrorCode::kInvalidModel, "asset \"{}\": its name leads out of the assets folder", asset.filename);
  }
  return directory / "assets" / name;
}

}  // namespace tenon::saved
