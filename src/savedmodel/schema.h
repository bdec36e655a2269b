// Names, numbers and types of the fields of TensorFlow's messages: what the text format needs to become wire format.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace tenon::saved {

enum class FieldType {
  kInt32,
  kInt64,
  kUInt32,
  kUInt64,
  kSInt64,
  kFixed32,
  kFixed64,
  kBool,
  kFloat,
  kDouble,
  kString,
  kEnum,
  kMessage
};

struct Message;

struct Field {
  std::uint32_t number = 0;
  FieldType type = FieldType::kString;
  std::string_view enum_name;        // of an enum
  const Message* message = nullptr;  // of a message
};

// By name, without the package: "GraphDef", "AttrValue.ListValue". nullptr when unknown.
const Message* find_message(std::string_view name);
std::string_view message_name(const Message& message) noexcept;
// nullptr when the message has no such field.
const Field* find_field(const Message& message, std::string_view name) noexcept;
// The number of "DT_FLOAT", "DT_FLOAT_REF", ….
std::optional<int> find_enum_value(std::string_view enum_name, std::string_view value) noexcept;

}  // namespace tenon::saved
