// Writing SavedModels: an original plus edits.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "savedmodel/model.h"

namespace tenon::saved {

// Changes to one meta graph. What is not set stays as it is in the file, byte for byte, unknown fields included.
struct MetaGraphEdit {
  std::size_t meta_graph = 0;
  std::optional<std::vector<NodeDef>> nodes;
  std::optional<std::vector<FunctionDef>> functions;
  std::optional<std::vector<SignatureDef>> signatures;
  // Replaces asset_file_def and, where there is one, TF1's "saved_model_assets".
  std::optional<std::vector<AssetFileDef>> assets;
  // Sets (by name) or adds collections; one that is all empty is removed. `raw` is not looked at.
  std::vector<Collection> collections;
  // Drops TF2's objects: then `.signatures` is what loading gives.
  bool drop_object_graph = false;
  bool drop_saver = false;  // the graph has no variables
  std::optional<std::vector<std::string>> tags;
};

// A new file below assets/.
struct AssetContent {
  std::string filename;  // relative to assets/
  std::function<void(FileWriter&)> write;
};

struct WriteOptions {
  std::vector<MetaGraphEdit> edits;
  std::vector<AssetContent> assets;      // one that the original has too is replaced
  std::vector<std::string> drop_assets;  // files of the original's assets folder to leave out
  bool replace = false;                  // an existing output folder is replaced
  bool link_variables = true;            // hard links where possible; else copies
  bool drop_variables = false;           // the checkpoint is left out
  bool only_edited = false;              // meta graphs without an edit are left out
};

struct WriteReport {
  std::vector<std::string> dropped;  // entries of the original folder that were left out: "fingerprint.pb", "debug/", …
};

// What write() would refuse about the output folder, before the work of making it: throws kInvalidArgument (it is, holds or lies
// in the input; it exists without `replace`; it holds something else than a SavedModel), kIo (it cannot be made).
void check_output(const Model& model, const std::filesystem::path& output, bool replace);

// Writes a binary SavedModel with the variables, assets and assets.extra of `model`; everything stands beside the target
// first and is moved there at the end, so a failure leaves nothing. A frozen graph becomes a SavedModel with one meta graph
// ("serve"). Throws kInvalidArgument (output is the input, exists without `replace`, an edit of a meta graph that is not
// there), kUnsupported (above protobuf's 2 GB), kIo.
WriteReport write(const Model& model, const std::filesystem::path& output, const WriteOptions& options);

// Messages in wire format. A non-empty `raw` is copied as it is.
std::string serialize(const NodeDef& node);
std::string serialize(const FunctionDef& function);
std::string serialize(const AttrValue& value);
std::string serialize(const SignatureDef& signature);
// A complete SavedModel message: `model` after `edits`.
std::string serialize(const Model& model, const std::vector<MetaGraphEdit>& edits);

}  // namespace tenon::saved
