#include "savedmodel/schema.h"

#include <array>
#include <charconv>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "savedmodel/schema_table.h"

namespace tenon::saved {

struct Message {
  std::string name;
  std::unordered_map<std::string_view, Field> fields;
};

namespace {

constexpr std::array<std::pair<std::string_view, FieldType>, 11> kScalars = {{{"int32", FieldType::kInt32},
                                                                              {"int64", FieldType::kInt64},
                                                                              {"uint32", FieldType::kUInt32},
                                                                              {"uint64", FieldType::kUInt64},
                                                                              {"sint64", FieldType::kSInt64},
                                                                              {"fixed32", FieldType::kFixed32},
                                                                              {"fixed64", FieldType::kFixed64},
                                                                              {"bool", FieldType::kBool},
                                                                              {"float", FieldType::kFloat},
                                                                              {"double", FieldType::kDouble},
                                                                              {"string", FieldType::kString}}};

int to_int(std::string_view digits) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  TENON_CHECK(error == std::errc{} && end == digits.data() + digits.size());
  return value;
}

// Calls each("name", "rest") for every word "name=rest" of `text`.
template <class F>
void for_each_assignment(std::string_view text, F&& each) {
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const std::size_t equals = word.find('=');
    if (equals != std::string_view::npos) each(word.substr(0, equals), word.substr(equals + 1));
  }
}

class Schema {
 public:
  Schema() {
    for (const MessageSource& source : kMessageSources) message(source.name);
    for (const MessageSource& source : kMessageSources) define(*message(source.name), source.fields);
    for (const EnumSource& source : kEnumSources) {
      for_each_assignment(source.values, [&](std::string_view name, std::string_view number) {
        enums_[source.name][name] = to_int(number);
      });
    }
  }

  const Message* find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }

  std::optional<int> enum_value(std::string_view name, std::string_view value) const {
    const auto values = enums_.find(name);
    if (values == enums_.end()) return std::nullopt;
    const auto found = values->second.find(value);
    if (found == values->second.end()) return std::nullopt;
    return found->second;
  }

 private:
  Message* message(std::string_view name) {
    if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second;
    Message& added = messages_.emplace_back(Message{std::string(name), {}});
    by_name_[added.name] = &added;
    return &added;
  }

  void define(Message& target, std::string_view fields) {
    for_each_assignment(fields, [&](std::string_view name, std::string_view rest) {
      const std::size_t colon = rest.find(':');
      target.fields[name] = field(to_int(rest.substr(0, colon)), rest.substr(colon + 1));
    });
  }

  Field field(int number, std::string_view type) {
    Field result{
        .number = static_cast<std::uint32_t>(number), .type = FieldType::kMessage, .enum_name = {}, .message = nullptr};
    for (const auto& [name, scalar] : kScalars) {
      if (name == type) {
        result.type = scalar;
        return result;
      }
    }
    if (type.starts_with('@')) {
      result.type = FieldType::kEnum;
      result.enum_name = type.substr(1);
    } else {
      result.message = type.starts_with("map(") ? map_entry(type) : message(type);
    }
    return result;
  }

  // "map(string,AttrValue)": a message with the fields key = 1 and value = 2.
  const Message* map_entry(std::string_view type) {
    if (const auto found = by_name_.find(type); found != by_name_.end()) return found->second;
    Message* entry = message(type);
    const std::string_view types = type.substr(4, type.size() - 5);
    const std::size_t comma = types.find(',');
    entry->fields["key"] = field(1, types.substr(0, comma));
    entry->fields["value"] = field(2, types.substr(comma + 1));
    return entry;
  }

  std::deque<Message> messages_;
  std::unordered_map<std::string_view, Message*> by_name_;
  std::unordered_map<std::string_view, std::unordered_map<std::string_view, int>> enums_;
};

const Schema& schema() {
  static const Schema instance;
  return instance;
}

}  // namespace

const Message* find_message(std::string_view name) { return schema().find(name); }

std::string_view message_name(const Message& message) noexcept { return message.name; }

const Field* find_field(const Message& message, std::string_view name) noexcept {
  const auto found = message.fields.find(name);
  return found == message.fields.end() ? nullptr : &found->second;
}

std::optional<int> find_enum_value(std::string_view enum_name, std::string_view value) noexcept {
  const std::optional<int> found = schema().enum_value(enum_name, value);
  constexpr std::string_view kRef = "_REF";
  if (found || enum_name != "DataType" || !value.ends_with(kRef)) return found;
  const std::optional<int> base = schema().enum_value(enum_name, value.substr(0, value.size() - kRef.size()));
  return base ? std::optional<int>(*base + 100) : std::nullopt;
}

}  // namespace tenon::saved
