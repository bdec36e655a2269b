#include "savedmodel/text_format.h"

#include <optional>
#include <protozero/pbf_writer.hpp>

#include "base/error.h"
#include "savedmodel/schema.h"
#include "savedmodel/text_scanner.h"
#include "savedmodel/wire.h"

namespace tenon::saved {
namespace {

using protozero::pbf_writer;

class TextParser {
 public:
  explicit TextParser(std::string_view text) : scanner_(text) {}

  std::string parse(const Message& message) {
    std::string bytes;
    pbf_writer writer(bytes);
    parse_fields(message, writer, 0, 0);
    return bytes;
  }

 private:
  const Token& token() const noexcept { return scanner_.token(); }
  bool at_symbol(char symbol) const noexcept { return token().kind == TokenKind::kSymbol && token().text[0] == symbol; }
  bool take_symbol(char symbol) {
    if (!at_symbol(symbol)) return false;
    scanner_.next();
    return true;
  }
  void expect_symbol(char symbol) {
    if (!take_symbol(symbol)) scanner_.fail_here(fmt::format("wanted '{}', found {}", symbol, describe(token())));
  }

  // Fields up to `closing`, or with 0 up to the end of the text.
  void parse_fields(const Message& message, pbf_writer& writer, char closing, int depth) {
    check_depth(depth, "text");
    while (closing == 0 ? token().kind != TokenKind::kEnd : !at_symbol(closing)) {
      if (take_symbol('[')) {
        parse_expanded_any(message, writer, depth);
      } else {
        parse_field(message, writer, depth);
      }
      if (!take_symbol(',')) take_symbol(';');
    }
    if (closing != 0) expect_symbol(closing);
  }

  void parse_field(const Message& message, pbf_writer& writer, int depth) {
    if (token().kind != TokenKind::kIdentifier) scanner_.fail_here("wanted a field's name, found " + describe(token()));
    const Field* field = find_field(message, token().text);
    if (field == nullptr) {
      scanner_.fail_here(fmt::format("{} has no field \"{}\"", message_name(message), token().text));
    }
    scanner_.next();
    const bool colon = take_symbol(':');
    if (!colon && field->type != FieldType::kMessage && !at_symbol('[')) scanner_.fail_here("wanted ':' and a value");
    if (take_symbol('[')) {
      parse_list(*field, writer, depth);
    } else {
      parse_value(*field, writer, depth);
    }
  }

  void parse_list(const Field& field, pbf_writer& writer, int depth) {
    if (take_symbol(']')) return;
    do {
      parse_value(field, writer, depth);
    } while (take_symbol(','));
    expect_symbol(']');
  }

  // What stands between { } or < >.
  std::string parse_braced(const Message& message, int depth) {
    const char closing = at_symbol('<') ? '>' : '}';
    if (!take_symbol('<')) expect_symbol('{');
    std::string bytes;
    pbf_writer writer(bytes);
    parse_fields(message, writer, closing, depth + 1);
    return bytes;
  }

  // [type.googleapis.com/tensorflow.AssetFileDef] { … } inside an Any; '[' is taken already.
  void parse_expanded_any(const Message& message, pbf_writer& writer, int depth) {
    std::string url;
    while (!at_symbol(']')) {
      if (token().kind != TokenKind::kIdentifier && !at_symbol('/') && !at_symbol('.') && !at_symbol('-')) {
        scanner_.fail_here("wanted the name of a type, found " + describe(token()));
      }
      url += token().text;
      scanner_.next();
    }
    expect_symbol(']');
    std::string_view name(url);
    name = name.substr(name.rfind('/') + 1);
    for (std::string_view package : {"tensorflow.", "google.protobuf."}) {
      if (name.starts_with(package)) name.remove_prefix(package.size());
    }
    const Message* type = find_message(name);
    if (message_name(message) != "Any" || type == nullptr) {
      scanner_.fail_here(fmt::format("{} cannot hold \"[{}]\"", message_name(message), url));
    }
    take_symbol(':');
    writer.add_string(1, url);
    writer.add_message(2, parse_braced(*type, depth));
  }

  void parse_value(const Field& field, pbf_writer& writer, int depth) {
    switch (field.type) {
      case FieldType::kMessage:
        writer.add_message(field.number, parse_braced(*field.message, depth));
        return;
      case FieldType::kString:
        writer.add_bytes(field.number, scanner_.take_strings());
        return;
      case FieldType::kFloat:
        writer.add_float(field.number, static_cast<float>(scanner_.take_real()));
        return;
      case FieldType::kDouble:
        writer.add_double(field.number, scanner_.take_real());
        return;
      case FieldType::kBool:
        writer.add_bool(field.number, scanner_.take_bool());
        return;
      case FieldType::kEnum:
        writer.add_enum(field.number, take_enum(field));
        return;
      case FieldType::kInt32:
        writer.add_int32(field.number, static_cast<std::int32_t>(scanner_.take_signed(INT32_MIN, INT32_MAX)));
        return;
      case FieldType::kInt64:
        writer.add_int64(field.number, scanner_.take_signed(INT64_MIN, INT64_MAX));
        return;
      case FieldType::kSInt64:
        writer.add_sint64(field.number, scanner_.take_signed(INT64_MIN, INT64_MAX));
        return;
      case FieldType::kUInt32:
        writer.add_uint32(field.number, static_cast<std::uint32_t>(scanner_.take_unsigned(UINT32_MAX)));
        return;
      case FieldType::kUInt64:
        writer.add_uint64(field.number, scanner_.take_unsigned(UINT64_MAX));
        return;
      case FieldType::kFixed32:
        writer.add_fixed32(field.number, static_cast<std::uint32_t>(scanner_.take_unsigned(UINT32_MAX)));
        return;
      case FieldType::kFixed64:
        writer.add_fixed64(field.number, scanner_.take_unsigned(UINT64_MAX));
        return;
    }
  }

  int take_enum(const Field& field) {
    if (token().kind != TokenKind::kIdentifier) return static_cast<int>(scanner_.take_signed(INT32_MIN, INT32_MAX));
    const std::optional<int> value = find_enum_value(field.enum_name, token().text);
    if (!value) scanner_.fail_here(fmt::format("{} has no value {}", field.enum_name, token().text));
    scanner_.next();
    return *value;
  }

  TextScanner scanner_;
};

}  // namespace

std::string parse_text(std::string_view text, std::string_view message) {
  const Message* type = find_message(message);
  TENON_CHECK(type != nullptr);
  return TextParser(text).parse(*type);
}

bool names_saved_model(std::string_view text) {
  const TextScanner scanner(text);
  const Token& first = scanner.token();
  return first.kind == TokenKind::kIdentifier && (first.text == "saved_model_schema_version" || first.text == "meta_graphs");
}

}  // namespace tenon::saved
