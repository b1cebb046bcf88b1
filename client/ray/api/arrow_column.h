// ColumnType: the type of a column of a record batch, as the Arrow C data interface writes it ("i", "+s"), and as Arrow
// IPC does (fbs/arrow.fbs). Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fbs/arrow_generated.h"

namespace ray::internal {

constexpr int kColumnDepthMax = 8;              // of lists and structs within one another
constexpr size_t kColumnsMax = 10'000;          // with the children of lists and structs
constexpr int64_t kRowsMax = int64_t{1} << 44;  // more than any memory holds, of bits even

// How the values of a column lie. Before them come the bits that say which values are there.
struct ColumnLayout {
  enum class Kind { kFixed, kBits, kBytes, kList, kStruct };
  Kind kind = Kind::kFixed;
  size_t width = 0;  // kFixed: of a value; kBytes and kList: of an offset
  size_t buffers() const { return kind == Kind::kStruct ? 1 : kind == Kind::kBytes ? 3 : 2; }
};

struct ColumnType {
  std::string name, format;
  bool nullable = true;
  ColumnLayout layout;
  std::vector<ColumnType> children;
};

// kInvalid for a format that a batch cannot have, such as that of a decimal.
raylet::Result<ColumnLayout> LayoutOf(std::string_view format);

flatbuffers::Offset<raylet::arrow_ipc::Field> BuildField(flatbuffers::FlatBufferBuilder& builder,
                                                         const ColumnType& column);
// Of verified bytes. kProtocolError names the field. `columns` counts them.
raylet::Result<ColumnType> ReadField(const raylet::arrow_ipc::Field& field, int depth, size_t& columns);

}  // namespace ray::internal
