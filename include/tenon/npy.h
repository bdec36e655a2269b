// NumPy's files: .npy (one array) and .npz (a zip of them), without pickles.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "tenon/tensor.h"

namespace tenon {

// The array of an .npy file. Booleans, integers, floats and complex numbers of either byte order and memory order become the
// dtype of their name, two-byte voids (how NumPy saves bfloat16) become bfloat16, "S" and "U" arrays become string tensors
// ("U" as UTF-8; trailing NULs are padding). Throws kNotFound or kIo when the file cannot be read, kInvalidArgument when it is
// malformed or holds pickled objects.
Tensor read_npy(const std::filesystem::path& path);
// The same for a file's bytes; `name` is used in messages.
Tensor parse_npy(std::string_view bytes, std::string_view name);

// Every array of an .npz file by its name without ".npy". Stored and deflated members, checked against their checksums.
std::map<std::string, Tensor> read_npz(const std::filesystem::path& path);
std::map<std::string, Tensor> parse_npz(std::string_view bytes, std::string_view name);

// Writes one array, replacing the file. Strings become an "S" array (trailing NULs of an element are lost, as in NumPy);
// quantized and 4-bit integers are written as their carrier. Throws kUnsupported for resources and variants, kIo.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);
// The file's bytes.
std::string format_npy(const Tensor& tensor);
// Writes several arrays, uncompressed, replacing the file.
void write_npz(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors);

}  // namespace tenon
