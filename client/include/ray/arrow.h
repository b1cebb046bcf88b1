// RecordBatch: an immutable table of columns in the store, taken from and given to other libraries through the Arrow C
// data interface. Giving it copies nothing: the buffers that Export hands out lie in the store, pinned until their
// release. As an argument, a result or a part of a value only its 20-byte id travels. Any thread may read it.
// In the store it is an Arrow IPC stream of one batch, such as pyarrow.ipc.open_stream reads.
#pragma once

#include <ray/internal/abi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include <ray/api/msgpack.h>

#include <ray/api/object_ref.h>
#include <ray/api/objects.h>
#include <ray/internal/export.h>
#include <ray/internal/runtime.h>

// As the specification of the Arrow C data interface has them.
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

extern "C" {

struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};

}  // extern "C"

#endif  // ARROW_C_DATA_INTERFACE

namespace ray {

class RAYLET_API RecordBatch {
 public:
  RecordBatch() = default;  // of nothing: it cannot be exported

  // A new batch in the store, with a copy of these columns. Releases both, also where it throws. Columns may have
  // integers of 8 to 64 bits, floats of 16 to 64, bool, utf8 and binary with their large forms, fixed-size binary,
  // dates and timestamps, or lists and structs of these. RayException names any other. Metadata of fields is not kept.
  static RecordBatch Import(ArrowSchema* schema, ArrowArray* array);
  // A new batch with a copy of an Arrow IPC stream of one batch. RayException where it is none.
  static RecordBatch CopyOfStream(std::span<const std::byte> stream);

  // Fills both; the caller releases them. The buffers lie in the store, read-only, until the array's release.
  void Export(ArrowSchema* schema, ArrowArray* array) const;

  int64_t num_rows() const noexcept { return rows_; }
  int64_t num_columns() const noexcept { return columns_; }
  // The stream that lies in the store, valid while this batch or a copy of it lives.
  std::span<const std::byte> stream() const;

  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    internal::PackStorage(packer, storage_);
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.is_nil())
      *this = RecordBatch();
    else
      UnpackExtension(internal::ExtensionBody(object, kExtension, typeid(RecordBatch)));
  }
  static constexpr int8_t kExtension = internal::kExtArray;
  void UnpackExtension(std::string_view id);

 private:
  explicit RecordBatch(std::shared_ptr<internal::ArrayStorage> storage);

  std::shared_ptr<internal::ArrayStorage> storage_;
  int64_t rows_ = 0, columns_ = 0;
};

namespace internal {
template <>
inline constexpr bool kIsArray<RecordBatch> = true;
}  // namespace internal

// Puts these columns into the store, as RecordBatch::Import.
inline ObjectRef<RecordBatch> Put(ArrowSchema* schema, ArrowArray* array) {
  return Put(RecordBatch::Import(schema, array));
}

}  // namespace ray
