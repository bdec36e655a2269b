#include <array>
#include <utility>

#include "tenon/tensor.h"

namespace tenon {
namespace {

struct DtypeInfo {
  DataType dtype;
  std::string_view name;
  std::string_view enum_name;
  std::size_t size;
};

constexpr std::array kDtypes = {
    DtypeInfo{DataType::kFloat32, "float32", "DT_FLOAT", 4},
    DtypeInfo{DataType::kFloat64, "float64", "DT_DOUBLE", 8},
    DtypeInfo{DataType::kInt32, "int32", "DT_INT32", 4},
    DtypeInfo{DataType::kUInt8, "uint8", "DT_UINT8", 1},
    DtypeInfo{DataType::kInt16, "int16", "DT_INT16", 2},
    DtypeInfo{DataType::kInt8, "int8", "DT_INT8", 1},
    DtypeInfo{DataType::kString, "string", "DT_STRING", sizeof(std::string)},
    DtypeInfo{DataType::kComplex64, "complex64", "DT_COMPLEX64", 8},
    DtypeInfo{DataType::kInt64, "int64", "DT_INT64", 8},
    DtypeInfo{DataType::kBool, "bool", "DT_BOOL", 1},
    DtypeInfo{DataType::kQInt8, "qint8", "DT_QINT8", 1},
    DtypeInfo{DataType::kQUInt8, "quint8", "DT_QUINT8", 1},
    DtypeInfo{DataType::kQInt32, "qint32", "DT_QINT32", 4},
    DtypeInfo{DataType::kBFloat16, "bfloat16", "DT_BFLOAT16", 2},
    DtypeInfo{DataType::kQInt16, "qint16", "DT_QINT16", 2},
    DtypeInfo{DataType::kQUInt16, "quint16", "DT_QUINT16", 2},
    DtypeInfo{DataType::kUInt16, "uint16", "DT_UINT16", 2},
    DtypeInfo{DataType::kComplex128, "complex128", "DT_COMPLEX128", 16},
    DtypeInfo{DataType::kFloat16, "float16", "DT_HALF", 2},
    DtypeInfo{DataType::kResource, "resource", "DT_RESOURCE", sizeof(ObjectPtr)},
    DtypeInfo{DataType::kVariant, "variant", "DT_VARIANT", sizeof(ObjectPtr)},
    DtypeInfo{DataType::kUInt32, "uint32", "DT_UINT32", 4},
    DtypeInfo{DataType::kUInt64, "uint64", "DT_UINT64", 8},
    DtypeInfo{DataType::kFloat8E5M2, "float8_e5m2", "DT_FLOAT8_E5M2", 1},
    DtypeInfo{DataType::kFloat8E4M3FN, "float8_e4m3fn", "DT_FLOAT8_E4M3FN", 1},
    DtypeInfo{DataType::kInt4, "int4", "DT_INT4", 1},
    DtypeInfo{DataType::kUInt4, "uint4", "DT_UINT4", 1},
};

const DtypeInfo* find(DataType dtype) noexcept {
  for (const DtypeInfo& info : kDtypes) {
    if (info.dtype == dtype) return &info;
  }
  return nullptr;
}

}  // namespace

std::string_view dtype_name(DataType dtype) noexcept {
  const DtypeInfo* info = find(dtype);
  return info ? info->name : "invalid";
}

std::string_view dtype_enum_name(DataType dtype) noexcept {
  const DtypeInfo* info = find(dtype);
  return info ? info->enum_name : "DT_INVALID";
}

DataType dtype_from_name(std::string_view name) noexcept {
  for (const DtypeInfo& info : kDtypes) {
    if (info.name == name || info.enum_name == name) return info.dtype;
  }
  return DataType::kInvalid;
}

std::size_t dtype_size(DataType dtype) noexcept {
  const DtypeInfo* info = find(dtype);
  return info ? info->size : 0;
}

}  // namespace tenon
