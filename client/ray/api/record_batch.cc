// RecordBatch, and its way out through the Arrow C data interface.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ray/arrow.h>

#include "base/strings.h"
#include "client/ray/api/arrow_batch_reader.h"
#include "client/ray/api/arrow_batch_writer.h"

namespace ray {

using internal::ArrayStorage;
using internal::ArrowBatch;
using internal::BatchColumn;
using internal::ColumnType;
using internal::Hold;
using internal::RayException;
using raylet::StrCat;

namespace {

std::span<const std::byte> BytesOf(const ArrayStorage& storage) {
  return {static_cast<const std::byte*>(storage.data()), storage.size_bytes()};
}

ArrowBatch Parse(std::span<const std::byte> stream) {
  auto batch = internal::ParseBatchStream(stream);
  if (!batch) throw RayException(StrCat("a record batch was expected, and there is none: ", batch.error().message));
  return *std::move(batch);
}

// Releases what an importer was given, at the end of the import.
template <class Given>
class Releasing {
 public:
  explicit Releasing(Given* given) : given_(given) {}
  Releasing(const Releasing&) = delete;
  Releasing& operator=(const Releasing&) = delete;
  ~Releasing() {
    if (given_ != nullptr && given_->release != nullptr) given_->release(given_);
  }

 private:
  Given* const given_;
};

// ---- what an importer gets -----------------------------------------------------------------------------------------

// A consumer may move a child out of its parent and release the parent first. So each has all that it needs.
struct ExportedSchema {
  std::string format, name;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> pointers;
};

struct ExportedArray {
  Hold memory;
  std::vector<const void*> buffers;
  std::vector<ArrowArray> children;
  std::vector<ArrowArray*> pointers;
};

template <class Exported, class Given>
void Release(Given* given) {
  const std::unique_ptr<Exported> exported(static_cast<Exported*>(given->private_data));
  for (Given& child : exported->children)
    if (child.release != nullptr) child.release(&child);
  given->release = nullptr;
}

template <class Exported, class Given>
void GiveChildren(Exported& exported, Given& given) {
  for (Given& child : exported.children) exported.pointers.push_back(&child);
  given.n_children = static_cast<int64_t>(exported.pointers.size());
  given.children = exported.pointers.data();
}

void ExportSchema(const std::string& format, const std::string& name, bool nullable,
                  const std::vector<ColumnType>& children, ArrowSchema& schema) {
  auto exported = std::make_unique<ExportedSchema>();
  exported->format = format;
  exported->name = name;
  exported->children.resize(children.size());
  schema = {};
  schema.format = exported->format.c_str();
  schema.name = exported->name.c_str();
  schema.flags = nullable ? ARROW_FLAG_NULLABLE : 0;
  GiveChildren(*exported, schema);
  ExportedSchema* const kept = exported.get();
  schema.release = Release<ExportedSchema, ArrowSchema>;
  schema.private_data = exported.release();
  for (size_t i = 0; i < children.size(); ++i)
    ExportSchema(children[i].format, children[i].name, children[i].nullable, children[i].children, kept->children[i]);
}

void ExportArray(const Hold& memory, const BatchColumn& column, ArrowArray& array) {
  auto exported = std::make_unique<ExportedArray>();
  exported->memory = memory;
  exported->buffers = column.buffers;
  exported->children.resize(column.children.size());
  array = {};
  array.length = column.length;
  array.null_count = column.null_count;
  array.n_buffers = static_cast<int64_t>(exported->buffers.size());
  array.buffers = exported->buffers.data();
  GiveChildren(*exported, array);
  ExportedArray* const kept = exported.get();
  array.release = Release<ExportedArray, ArrowArray>;
  array.private_data = exported.release();
  for (size_t i = 0; i < column.children.size(); ++i) ExportArray(memory, column.children[i], kept->children[i]);
}

}  // namespace

RecordBatch::RecordBatch(std::shared_ptr<ArrayStorage> storage) : storage_(std::move(storage)) {
  const ArrowBatch batch = Parse(BytesOf(*storage_));
  rows_ = batch.rows;
  columns_ = static_cast<int64_t>(batch.columns.size());
}

RecordBatch RecordBatch::Import(ArrowSchema* schema, ArrowArray* array) {
  const Releasing release_schema(schema);
  const Releasing release_array(array);
  if (schema == nullptr || array == nullptr)
    throw RayException("a record batch has a schema and an array: one is null");
  const auto writer = internal::ArrowBatchWriter::Of(*schema, *array);
  if (!writer) throw RayException(StrCat("this record batch cannot be stored: ", writer.error().message));
  auto storage = internal::CurrentRuntime().AllocateArray(writer->bytes());
  writer->Write({static_cast<std::byte*>(storage->mutable_data()), writer->bytes()});
  storage->Seal();
  return RecordBatch(std::move(storage));
}

RecordBatch RecordBatch::CopyOfStream(std::span<const std::byte> stream) {
  auto storage = internal::CurrentRuntime().AllocateArray(stream.size());
  if (!stream.empty()) std::memcpy(storage->mutable_data(), stream.data(), stream.size());
  storage->Seal();
  return RecordBatch(std::move(storage));
}

void RecordBatch::Export(ArrowSchema* schema, ArrowArray* array) const {
  if (storage_ == nullptr) throw RayException("this record batch holds nothing to export");
  ArrowBatch batch = Parse(BytesOf(*storage_));
  BatchColumn whole;
  whole.length = batch.rows;
  whole.buffers = {nullptr};
  whole.children = std::move(batch.columns);
  ExportSchema("+s", "", false, batch.types, *schema);
  try {
    ExportArray(storage_, whole, *array);
  } catch (...) {
    schema->release(schema);
    throw;
  }
}

std::span<const std::byte> RecordBatch::stream() const {
  if (storage_ == nullptr) return {};
  return BytesOf(*storage_);
}

void RecordBatch::UnpackExtension(std::string_view id) {
  if (id.size() != internal::kIdBytes)
    throw RayException(StrCat("the id of a record batch has ", internal::kIdBytes, " bytes, not ", id.size()));
  *this = RecordBatch(internal::CurrentRuntime().UnpackArray(id));
}

}  // namespace ray
