// Protobuf's text format, turned into wire format.
#pragma once

#include <string>
#include <string_view>

namespace tenon::saved {

// The message of type `message` ("SavedModel", "GraphDef") that `text` writes down, in wire format. Everything that
// protobuf's own parser takes: fields in any order, {} and <>, comments, escapes, adjacent strings, enum names and numbers,
// lists, inf and nan, Any expanded or not. Throws kInvalidModel with line and column.
std::string parse_text(std::string_view text, std::string_view message);

// True when the text's first field is one of SavedModel rather than of GraphDef.
bool names_saved_model(std::string_view text);

}  // namespace tenon::saved
