// Walking over one protobuf message, field by field, with every error as a tenon::Error.
#pragma once

#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tenon/tensor.h"

namespace tenon::saved {

// Messages may nest this deep, as protobuf's own readers have it.
inline constexpr int kMaxDepth = 100;

inline void check_depth(int depth, const char* message) {
  if (depth > kMaxDepth) {
    fail(ErrorCode::kInvalidModel, "{}: messages are nested deeper than {} levels; the file is damaged", message, kMaxDepth);
  }
}

// for (Fields fields(bytes, "NodeDef"); fields.next();) switch (fields.number()) { case 1: name = fields.bytes(); … default:
// fields.keep(other_fields); }. Every field must be consumed by exactly one call.
class Fields {
 public:
  // `message` is the protobuf type's name, for error messages.
  Fields(std::string_view bytes, const char* message)
      : reader_(protozero::data_view(bytes.data(), bytes.size())), message_(message) {}

  bool next() {
    begin_ = position();
    const bool found = guarded([&] { return reader_.next(); });
    if (found) number_ = reader_.tag();
    return found;
  }
  // Of the current field, also after its value was taken.
  std::uint32_t number() const noexcept { return number_; }
  const char* message() const noexcept { return message_; }

  std::string_view bytes() {
    expect(protozero::pbf_wire_type::length_delimited);
    return guarded([&] {
      const protozero::data_view view = reader_.get_view();
      return std::string_view(view.data(), view.size());
    });
  }
  std::string string() { return std::string(bytes()); }
  std::uint64_t varint() {
    expect(protozero::pbf_wire_type::varint);
    return guarded([&] { return reader_.get_uint64(); });
  }
  std::int64_t int64() { return static_cast<std::int64_t>(varint()); }
  std::int32_t int32() { return static_cast<std::int32_t>(varint()); }
  bool boolean() { return varint() != 0; }
  DataType dtype() { return static_cast<DataType>(int32()); }
  std::uint32_t fixed32() {
    expect(protozero::pbf_wire_type::fixed32);
    return guarded([&] { return reader_.get_fixed32(); });
  }
  float float32() {
    expect(protozero::pbf_wire_type::fixed32);
    return guarded([&] { return reader_.get_float(); });
  }
  double float64() {
    expect(protozero::pbf_wire_type::fixed64);
    return guarded([&] { return reader_.get_double(); });
  }

  // A repeated number, packed or not: `each` takes every element.
  template <class F>
  void each_varint(F&& each) {
    each_number(
        protozero::pbf_wire_type::varint, each, [](protozero::pbf_reader& r) { return r.get_uint64(); },
        [](protozero::pbf_reader& r) { return r.get_packed_uint64(); });
  }
  template <class F>
  void each_float(F&& each) {
    each_number(
        protozero::pbf_wire_type::fixed32, each, [](protozero::pbf_reader& r) { return r.get_float(); },
        [](protozero::pbf_reader& r) { return r.get_packed_float(); });
  }
  template <class F>
  void each_double(F&& each) {
    each_number(
        protozero::pbf_wire_type::fixed64, each, [](protozero::pbf_reader& r) { return r.get_double(); },
        [](protozero::pbf_reader& r) { return r.get_packed_double(); });
  }

  void skip() {
    if (reader_.wire_type() == protozero::pbf_wire_type::unknown || static_cast<int>(reader_.wire_type()) == 3 ||
        static_cast<int>(reader_.wire_type()) == 4) {
      fail(ErrorCode::kInvalidModel, "{}: field {} has an unknown wire type; the file is damaged", message_, number());
    }
    guarded([&] {
      reader_.skip();
      return 0;
    });
  }
  // Skips the field and gives all of it, tag included.
  std::string_view raw() {
    skip();
    return {begin_, static_cast<std::size_t>(position() - begin_)};
  }
  void keep(std::string& other_fields) { other_fields.append(raw()); }

 private:
  const char* position() const noexcept { return reader_.data().data(); }

  template <class F>
  auto guarded(F&& f) -> decltype(f()) {
    try {
      return f();
    } catch (const protozero::exception& error) {
      fail(ErrorCode::kInvalidModel, "{}: {} after field {}; the file is damaged or cut short", message_, error.what(),
           number_);
    }
  }

  void expect(protozero::pbf_wire_type type) const {
    if (reader_.wire_type() != type) {
      fail(ErrorCode::kInvalidModel, "{}: field {} has wire type {}, wanted {}; the file is damaged", message_, number(),
           static_cast<int>(reader_.wire_type()), static_cast<int>(type));
    }
  }

  template <class F, class One, class Packed>
  void each_number(protozero::pbf_wire_type type, F&& each, One&& one, Packed&& packed) {
    if (reader_.wire_type() == type) {
      each(guarded([&] { return one(reader_); }));
      return;
    }
    expect(protozero::pbf_wire_type::length_delimited);
    guarded([&] {
      for (auto value : packed(reader_)) each(value);
      return 0;
    });
  }

  protozero::pbf_reader reader_;
  const char* message_;
  const char* begin_ = nullptr;
  std::uint32_t number_ = 0;
};

}  // namespace tenon::saved
