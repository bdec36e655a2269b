#include "savedmodel/load.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "savedmodel/decode.h"
#include "savedmodel/text_format.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

namespace fs = std::filesystem;

enum class Root { kSavedModel, kGraph };

// GraphDef's nodes (1) are messages where SavedModel has its schema version (1), a number; a GraphDef without nodes has
// versions (4).
Root root_of_binary(std::string_view bytes) {
  for (Fields fields(bytes, "model file"); fields.next();) {
    const std::string_view raw = fields.raw();
    if (fields.number() == 1) return (raw.front() & 7) == 0 ? Root::kSavedModel : Root::kGraph;
    if (fields.number() > 2) return Root::kGraph;
  }
  return Root::kSavedModel;
}

bool looks_like_text(std::string_view bytes) {
  const std::string_view start = bytes.substr(0, 4096);
  return !start.empty() && std::all_of(start.begin(), start.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
}

void decode_saved_model(std::string_view bytes, Model& model) {
  for (Fields fields(bytes, "SavedModel"); fields.next();) {
    switch (fields.number()) {
      case 1:
        model.schema_version = fields.int64();
        break;
      case 2:
        model.meta_graphs.push_back(decode_meta_graph(fields.bytes(), model.storage));
        break;
      default:
        fields.keep(model.other_fields);
    }
  }
}

void decode_frozen_graph(std::string_view bytes, Model& model) {
  model.frozen_graph = true;
  MetaGraph& meta_graph = model.meta_graphs.emplace_back();
  meta_graph.tags = {"serve"};
  decode_graph(bytes, model.storage, meta_graph.graph);
  meta_graph.graph.raw = bytes;
  check_unique_names(meta_graph.graph);
}

void decode_model(std::string_view bytes, Root root, Model& model) {
  if (bytes.empty()) fail(ErrorCode::kInvalidModel, "the file is empty");
  if (root == Root::kGraph) {
    decode_frozen_graph(bytes, model);
  } else {
    decode_saved_model(bytes, model);
  }
  if (model.meta_graphs.empty()) fail(ErrorCode::kInvalidModel, "there is no graph in it");
}

void decode_text(std::string_view text, Model& model) {
  const Root root = names_saved_model(text) ? Root::kSavedModel : Root::kGraph;
  auto binary = std::make_shared<std::string>(parse_text(text, root == Root::kSavedModel ? "SavedModel" : "GraphDef"));
  model.storage = binary;
  decode_model(*binary, root, model);
}

bool is_text(std::string_view bytes, std::string_view name, FileFormat format) {
  if (format != FileFormat::kDetect) return format == FileFormat::kText;
  return name.ends_with(".pbtxt") || name.ends_with(".prototxt") || looks_like_text(bytes);
}

fs::path find_model_file(const fs::path& directory) {
  for (const char* name : {"saved_model.pb", "saved_model.pbtxt"}) {
    if (fs::exists(directory / name)) return directory / name;
  }
  if (fs::exists(directory / "saved_model.cpb")) {
    fail(ErrorCode::kUnsupported, "\"{}\": chunked SavedModels (saved_model.cpb) cannot be read; save it as saved_model.pb",
         directory.string());
  }
  fail(ErrorCode::kNotFound, "\"{}\" is no SavedModel: it holds neither saved_model.pb nor saved_model.pbtxt",
       directory.string());
}

}  // namespace

Model load_bytes(std::string_view bytes, std::shared_ptr<const void> owner, std::string_view name, FileFormat format) {
  Model model;
  model.storage = std::move(owner);
  model.file = name;
  try {
    if (is_text(bytes, name, format)) {
      decode_text(bytes, model);
    } else {
      decode_model(bytes, root_of_binary(bytes), model);
    }
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("\"{}\": {}", name, error.what()));
  }
  return model;
}

Model load(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) repair_interrupted_write(path);
  if (!fs::exists(path, error)) fail(ErrorCode::kNotFound, "there is no model at \"{}\"", path.string());
  const bool is_directory = fs::is_directory(path, error);
  const fs::path file = is_directory ? find_model_file(path) : path;
  const std::shared_ptr<const MappedFile> mapped = MappedFile::open(file);
  Model model = load_bytes(mapped->bytes(), mapped, file.string());
  if (!model.frozen_graph) model.directory = is_directory ? path : fs::absolute(path).parent_path();
  return model;
}

}  // namespace tenon::saved
