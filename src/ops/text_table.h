// Vocabulary files: text lines as keys and values of a lookup table.
#pragma once

#include <cstdint>
#include <string>

#include "tenon/tensor.h"

namespace tenon::ops {

struct TextTableFormat {
  // A column from 0, kLineNumber (int64, plus `offset`) or kWholeLine (string).
  static constexpr std::int64_t kLineNumber = -1;
  static constexpr std::int64_t kWholeLine = -2;
  std::int64_t key_index = kWholeLine;
  std::int64_t value_index = kLineNumber;
  std::int64_t vocab_size = -1;  // lines to read; -1: all
  std::int64_t offset = 0;
  std::string delimiter = "\t";  // one character
};

struct TextTable {
  Tensor keys;
  Tensor values;
};

// Throws kNotFound or kIo when the file cannot be read, kInvalidArgument naming file and line for malformed lines.
TextTable read_text_table(const std::string& path, const TextTableFormat& format, DataType key_dtype, DataType value_dtype);

}  // namespace tenon::ops
