// Reads the single-op cases that record.py writes; the layout is described there.
#pragma once

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "ir/attributes.h"
#include "tenon/tensor.h"

namespace tenon::conformance {

struct Case {
  enum class Outcome { kValues = 0, kError = 1, kShapes = 2 };
  std::string op;  // TensorFlow's op type
  ir::Attrs attrs;
  std::vector<Tensor> inputs;
  float tolerance = 1;  // times the usual one
  Outcome outcome = Outcome::kValues;
  std::string error;  // TensorFlow's message
  std::vector<Tensor> outputs;
  // `Add float32[2,3] float32[] {…}`: repeats the case by hand.
  std::string describe() const;
};

class CaseReader {
 public:
  explicit CaseReader(std::string_view bytes) : bytes_(bytes) {}

  std::string_view take(std::size_t count) {
    if (count > bytes_.size() - at_) fail(ErrorCode::kInvalidModel, "the case file ends early");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string str() { return std::string(take(number<std::uint32_t>())); }

  std::vector<std::int64_t> dims(int rank) {
    std::vector<std::int64_t> dims;
    for (int i = 0; i < rank; ++i) dims.push_back(number<std::int64_t>());
    return dims;
  }

  PartialShape shape() {
    const int rank = number<std::int32_t>();
    if (rank < 0) return {};
    std::vector<Dim> result;
    for (std::int64_t d : dims(rank)) result.push_back(d < 0 ? Dim::symbol(1000 + static_cast<std::int64_t>(result.size())) : Dim(d));
    return PartialShape(std::move(result));
  }

  Tensor tensor() {
    const auto dtype = static_cast<DataType>(number<std::int32_t>());
    const int rank = number<std::int32_t>();
    Tensor tensor(dtype, Shape(dims(rank)));
    if (dtype == DataType::kString) {
      for (std::string& s : tensor.flat<std::string>()) s = str();
    } else if (tensor.byte_size() > 0) {
      std::memcpy(tensor.data(), take(tensor.byte_size()).data(), tensor.byte_size());
    }
    return tensor;
  }

  template <class T, class F>
  std::vector<T> list(F&& one) {
    std::vector<T> result;
    for (auto count = number<std::uint32_t>(); count > 0; --count) result.push_back(one());
    return result;
  }

  ir::AttrValue attr() {
    const auto dtype = [&] { return static_cast<DataType>(number<std::int32_t>()); };
    switch (number<char>()) {
      case 'i': return number<std::int64_t>();
      case 'f': return number<float>();
      case 'b': return number<std::uint8_t>() != 0;
      case 's': return str();
      case 't': return dtype();
      case 'h': return shape();
      case 'T': return tensor();
      case 'I': return list<std::int64_t>([&] { return number<std::int64_t>(); });
      case 'F': return list<float>([&] { return number<float>(); });
      case 'B': return list<bool>([&] { return number<std::uint8_t>() != 0; });
      case 'S': return list<std::string>([&] { return str(); });
      case 'Y': return list<DataType>(dtype);
      case 'H': return list<PartialShape>([&] { return shape(); });
      default: fail(ErrorCode::kInvalidModel, "the case file has an attribute of an unknown kind");
    }
  }

  Case one_case() {
    Case result;
    result.op = str();
    for (auto count = number<std::uint32_t>(); count > 0; --count) {
      std::string name = str();
      result.attrs.set(std::move(name), attr());
    }
    result.inputs = list<Tensor>([&] { return tensor(); });
    result.tolerance = number<float>();
    result.outcome = static_cast<Case::Outcome>(number<std::uint8_t>());
    if (result.outcome == Case::Outcome::kError) {
      result.error = str();
    } else {
      result.outputs = list<Tensor>([&] { return tensor(); });
    }
    return result;
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

inline std::string attr_text(const ir::AttrValue& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return std::to_string(*i);
  if (const auto* f = std::get_if<float>(&value)) return std::to_string(*f);
  if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  if (const auto* s = std::get_if<std::string>(&value)) return *s;
  if (const auto* t = std::get_if<DataType>(&value)) return std::string(dtype_name(*t));
  if (const auto* s = std::get_if<PartialShape>(&value)) return s->to_string();
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value)) return Shape(*list).to_string();
  return "…";
}

inline std::string Case::describe() const {
  std::string text = op;
  for (const Tensor& input : inputs) text += " " + input.describe();
  text += " {";
  for (const auto& [name, value] : attrs) text += " " + name + "=" + attr_text(value);
  return text + " }";
}

// Throws kIo or kInvalidModel.
inline std::vector<Case> read_cases(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorCode::kIo, "cannot read {}", path);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  CaseReader reader(bytes);
  if (reader.take(8) != "TCASES1\n") fail(ErrorCode::kInvalidModel, "{} is not a case file", path);
  return reader.list<Case>([&] { return reader.one_case(); });
}

}  // namespace tenon::conformance
