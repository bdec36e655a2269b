// Reading models: SavedModel folders and frozen graphs, binary or text.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "savedmodel/model.h"

namespace tenon::saved {

// `path` is a SavedModel folder (saved_model.pb or saved_model.pbtxt), one of these files, or a frozen GraphDef (.pb,
// .pbtxt); which of the two a file is, is found from its content. The file is mapped, and the model keeps the mapping.
// Throws kNotFound, kIo, kInvalidModel (malformed, a node or function defined twice) or kUnsupported (a chunked
// saved_model.cpb).
Model load(const std::filesystem::path& path);

enum class FileFormat { kDetect, kBinary, kText };
// The same from bytes that `owner` keeps alive; `name` is for messages.
Model load_bytes(std::string_view bytes, std::shared_ptr<const void> owner, std::string_view name,
                 FileFormat format = FileFormat::kDetect);

}  // namespace tenon::saved
