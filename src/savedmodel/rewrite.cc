#include "savedmodel/rewrite.h"

#include <algorithm>
#include <protozero/pbf_writer.hpp>
#include <unordered_set>

#include "base/error.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

constexpr std::string_view kAssetsCollection = "saved_model_assets";
constexpr std::string_view kAssetTypeUrl = "type.googleapis.com/tensorflow.AssetFileDef";
// Protobuf's own readers refuse anything larger.
constexpr std::size_t kMaxMessageBytes = 0x7fffffff;

Collection assets_collection(const std::vector<AssetFileDef>& assets) {
  Collection collection;
  collection.name = kAssetsCollection;
  collection.any_type_url = kAssetTypeUrl;
  for (const AssetFileDef& asset : assets) collection.any_list.push_back(serialize(asset));
  return collection;
}

// An entry of a map from string to message.
void add_entry(WireRope& rope, std::uint32_t number, std::string_view key, std::string value) {
  WireRope entry;
  entry.field_owned(1, std::string(key));
  entry.field_owned(2, std::move(value));
  rope.field(number, std::move(entry));
}

std::string_view entry_key(std::string_view entry) {
  std::string_view key;
  for (Fields fields(entry, "map entry"); fields.next();) {
    if (fields.number() == 1) {
      key = fields.bytes();
    } else {
      fields.skip();
    }
  }
  return key;
}

// What a length-delimited field holds; nothing for other fields.
std::string_view content_of(std::string_view raw, const char* message) {
  Fields fields(raw, message);
  return (raw.front() & 7) == 2 && fields.next() ? fields.bytes() : std::string_view();
}

// The fields of `original` without those that drop(number, content) names.
template <class F>
WireRope copy_fields(std::string_view original, const char* message, F&& drop) {
  WireRope kept;
  for (Fields fields(original, message); fields.next();) {
    const std::string_view raw = fields.raw();
    if (!drop(fields.number(), content_of(raw, message))) kept.append(raw);
  }
  return kept;
}

// A node or function: as in the file where it is unchanged.
template <class T>
void add_definition(WireRope& rope, std::uint32_t number, const T& definition) {
  if (definition.raw.empty()) {
    rope.field_owned(number, serialize(definition));
  } else {
    rope.field(number, definition.raw);
  }
}

// A gradient whose functions are all still there. They are the first fields: two of a GradientDef, one of a RegisteredGradient.
bool gradient_holds(std::string_view bytes, std::uint32_t functions_named, const std::unordered_set<std::string_view>& functions) {
  bool holds = true;
  for (Fields fields(bytes, "gradient"); fields.next();) {
    if (fields.number() <= functions_named) {
      holds = functions.contains(fields.bytes()) && holds;
    } else {
      fields.skip();
    }
  }
  return holds;
}

// A message may come in several pieces, which join by standing behind each other.
using Pieces = std::vector<std::string_view>;

WireRope rewrite_library(const Pieces& originals, const std::vector<FunctionDef>& functions) {
  std::unordered_set<std::string_view> names;
  for (const FunctionDef& function : functions) names.insert(function.name);
  WireRope library;
  for (std::string_view original : originals) {
    library.append(copy_fields(original, "FunctionDefLibrary", [&](std::uint32_t number, std::string_view content) {
      return number == 1 || (number == 2 && !gradient_holds(content, 2, names)) || (number == 3 && !gradient_holds(content, 1, names));
    }));
  }
  for (const FunctionDef& function : functions) add_definition(library, 1, function);
  return library;
}

WireRope rewrite_graph(const Pieces& originals, const MetaGraphEdit& edit) {
  WireRope graph;
  Pieces libraries;
  for (std::string_view original : originals) {
    graph.append(copy_fields(original, "GraphDef", [&](std::uint32_t number, std::string_view content) {
      if (number == 2 && edit.functions) libraries.push_back(content);
      return (number == 1 && edit.nodes) || (number == 2 && edit.functions);
    }));
  }
  if (edit.nodes) {
    for (const NodeDef& node : *edit.nodes) add_definition(graph, 1, node);
  }
  const bool has_library = edit.functions && (!libraries.empty() || !edit.functions->empty());
  if (has_library) graph.field(2, rewrite_library(libraries, *edit.functions));
  return graph;
}

WireRope rewrite_meta_info(const Pieces& originals, const std::vector<std::string>& tags) {
  WireRope info;
  for (std::string_view original : originals) {
    info.append(copy_fields(original, "MetaInfoDef", [](std::uint32_t number, std::string_view) { return number == 4; }));
  }
  for (const std::string& tag : tags) info.field(4, tag);
  return info;
}

class MetaGraphRewriter {
 public:
  MetaGraphRewriter(const MetaGraph& original, const MetaGraphEdit& edit)
      : original_(original), edit_(edit), collections_(edit.collections) {
    if (edit.assets && original.find_collection(kAssetsCollection) != nullptr) {
      collections_.push_back(assets_collection(*edit.assets));
    }
  }

  WireRope run() {
    const bool is_new = original_.raw.empty();
    const bool new_info = edit_.tags || is_new;
    const bool new_graph = edit_.nodes || edit_.functions || is_new;
    Pieces infos, graphs;
    if (is_new) graphs.push_back(original_.graph.raw);
    WireRope rope = copy_fields(original_.raw, "MetaGraphDef", [&](std::uint32_t number, std::string_view content) {
      if (number == 1 && new_info) infos.push_back(content);
      if (number == 2 && new_graph) graphs.push_back(content);
      return (number == 1 && new_info) || (number == 2 && new_graph) || is_replaced(number, content);
    });
    if (new_info) rope.field(1, rewrite_meta_info(infos, edit_.tags ? *edit_.tags : original_.tags));
    if (new_graph) rope.field(2, rewrite_graph(graphs, edit_));
    add_replacements(rope);
    return rope;
  }

 private:
  bool is_replaced(std::uint32_t number, std::string_view content) const {
    if (number == 4) {
      const std::string_view key = entry_key(content);
      return std::any_of(collections_.begin(), collections_.end(), [&](const Collection& set) { return set.name == key; });
    }
    return (number == 5 && edit_.signatures) || (number == 6 && edit_.assets) || (number == 7 && edit_.drop_object_graph) ||
           (number == 3 && edit_.drop_saver);
  }

  void add_replacements(WireRope& rope) const {
    for (const Collection& collection : collections_) {
      std::string value = serialize(collection);
      if (!value.empty()) add_entry(rope, 4, collection.name, std::move(value));
    }
    if (edit_.signatures) {
      for (const SignatureDef& signature : *edit_.signatures) add_entry(rope, 5, signature.key, serialize(signature));
    }
    if (edit_.assets) {
      for (const AssetFileDef& asset : *edit_.assets) rope.field_owned(6, serialize(asset));
    }
  }

  const MetaGraph& original_;
  const MetaGraphEdit& edit_;
  std::vector<Collection> collections_;
};

WireRope rewrite_meta_graph(const MetaGraph& original, std::size_t index, const std::vector<MetaGraphEdit>& edits) {
  static const MetaGraphEdit kNothing;
  const auto edit = std::find_if(edits.begin(), edits.end(), [&](const MetaGraphEdit& e) { return e.meta_graph == index; });
  if (edit != edits.end() || original.raw.empty())
    return MetaGraphRewriter(original, edit != edits.end() ? *edit : kNothing).run();
  WireRope unchanged;
  unchanged.append(original.raw);
  return unchanged;
}

void check_edits(const Model& model, const std::vector<MetaGraphEdit>& edits) {
  std::unordered_set<std::size_t> seen;
  for (const MetaGraphEdit& edit : edits) {
    if (edit.meta_graph >= model.meta_graphs.size() || !seen.insert(edit.meta_graph).second) {
      fail(ErrorCode::kInvalidArgument, "writing a model: an edit of graph {} (of {}) does not exist or stands twice",
           edit.meta_graph, model.meta_graphs.size());
    }
  }
}

std::string schema_version_field(const Model& model) {
  std::string bytes;
  protozero::pbf_writer(bytes).add_int64(1, model.frozen_graph ? 1 : model.schema_version);
  return bytes;
}

}  // namespace

WireRope rewrite(const Model& model, const std::vector<MetaGraphEdit>& edits, bool only_edited) {
  check_edits(model, edits);
  WireRope rope;
  rope.append_owned(schema_version_field(model));
  for (std::size_t i = 0; i < model.meta_graphs.size(); ++i) {
    const bool edited = std::ranges::any_of(edits, [&](const MetaGraphEdit& edit) { return edit.meta_graph == i; });
    if (edited || !only_edited) rope.field(2, rewrite_meta_graph(model.meta_graphs[i], i, edits));
  }
  rope.append(model.other_fields);
  if (rope.size() > kMaxMessageBytes) {
    fail(ErrorCode::kUnsupported,
         "the model's graph takes {} bytes, SavedModels hold at most 2 GB; keep its weights in variables", rope.size());
  }
  return rope;
}

std::string serialize(const Model& model, const std::vector<MetaGraphEdit>& edits) {
  return rewrite(model, edits).to_string();
}

}  // namespace tenon::saved
