#include "ops/text_table.h"

#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "ops/parse_number.h"

namespace tenon::ops {
namespace {

// As TensorFlow reads lines: carriage returns vanish, the last line needs no end.
std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    std::erase(line, '\r');
    lines.push_back(std::move(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string_view> split_columns(std::string_view line, char delimiter) {
  std::vector<std::string_view> columns;
  for (;;) {
    const std::size_t end = line.find(delimiter);
    columns.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return columns;
    line.remove_prefix(end + 1);
  }
}

template <class T>
bool store_number(std::string_view text, Tensor& out, std::int64_t row) {
  return parse_number(text, out.flat<T>()[static_cast<std::size_t>(row)]);
}

bool store(std::string_view text, Tensor& out, std::int64_t row) {
  switch (out.dtype()) {
    case DataType::kString:
      out.flat<std::string>()[static_cast<std::size_t>(row)] = text;
      return true;
    case DataType::kInt32:
      return store_number<std::int32_t>(text, out, row);
    case DataType::kInt64:
      return store_number<std::int64_t>(text, out, row);
    case DataType::kFloat32:
      return store_number<float>(text, out, row);
    case DataType::kFloat64:
      return store_number<double>(text, out, row);
    default:
      return false;
  }
}

void check_index(const std::string& path, std::int64_t index, DataType dtype, const char* what) {
  if (index < TextTableFormat::kWholeLine) fail(ErrorCode::kInvalidArgument, "{}: {} index is {}", path, what, index);
  if (index == TextTableFormat::kLineNumber && dtype != DataType::kInt64) {
    fail(ErrorCode::kInvalidArgument, "{}: line numbers are int64, the table's {} is {}", path, what, dtype_name(dtype));
  }
  if (index == TextTableFormat::kWholeLine && dtype != DataType::kString) {
    fail(ErrorCode::kInvalidArgument, "{}: whole lines are strings, the table's {} is {}", path, what, dtype_name(dtype));
  }
}

}  // namespace

TextTable read_text_table(const std::string& path, const TextTableFormat& format, DataType key_dtype, DataType value_dtype) {
  check_index(path, format.key_index, key_dtype, "key");
  check_index(path, format.value_index, value_dtype, "value");
  if (format.delimiter.size() != 1) fail(ErrorCode::kInvalidArgument, "{}: the delimiter must be one character", path);
  std::vector<std::string> lines = split_lines(read_file(path));
  if (format.vocab_size > 0) {
    if (static_cast<std::int64_t>(lines.size()) < format.vocab_size) {
      fail(ErrorCode::kInvalidArgument, "{}: has {} lines, vocab_size is {}", path, lines.size(), format.vocab_size);
    }
    lines.resize(static_cast<std::size_t>(format.vocab_size));
  }
  const auto count = static_cast<std::int64_t>(lines.size());
  TextTable table{Tensor(key_dtype, {count}), Tensor(value_dtype, {count})};
  const bool columns_used = format.key_index >= 0 || format.value_index >= 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string& line = lines[static_cast<std::size_t>(i)];
    std::vector<std::string_view> columns;
    if (columns_used) columns = split_columns(line, format.delimiter[0]);
    const auto put = [&](std::int64_t index, Tensor& out) {
      if (index == TextTableFormat::kLineNumber) {
        out.flat<std::int64_t>()[static_cast<std::size_t>(i)] = i + format.offset;
        return;
      }
      if (index >= static_cast<std::int64_t>(columns.size()) && index >= 0) {
        fail(ErrorCode::kInvalidArgument, "{}:{}: has {} columns, column {} is wanted", path, i + 1, columns.size(), index);
      }
      const std::string_view text = index == TextTableFormat::kWholeLine ? std::string_view(line) : columns[static_cast<std::size_t>(index)];
      if (!store(text, out, i)) {
        fail(ErrorCode::kInvalidArgument, "{}:{}: \"{}\" is not a {}", path, i + 1, text, dtype_name(out.dtype()));
      }
    };
    put(format.key_index, table.keys);
    put(format.value_index, table.values);
  }
  return table;
}

}  // namespace tenon::ops
