// Record batches through the Arrow C data interface, in process. tests/tools/exchange_with_pyarrow has Arrow's own
// library at the other end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ray/api.h>
#include <ray/arrow.h>

#include "base/strings.h"
#include "client/ray/api/arrow_batch_reader.h"
#include "tests/client/ray/api/arrow_messages.h"
#include "tests/client/ray/api/local_mode.h"

namespace record_batch_test {

using ray::RecordBatch;
using ray::internal::RayException;

int64_t RowsOf(const RecordBatch& batch) { return batch.num_rows(); }
uintptr_t AddressOfBatch(const RecordBatch& batch) { return reinterpret_cast<uintptr_t>(batch.stream().data()); }
RecordBatch SameBatch(RecordBatch batch) { return batch; }
RAY_REMOTE(RowsOf, AddressOfBatch, SameBatch);

int released = 0;

// A column as another library would describe it. It must outlive what is given of it.
struct Column {
  std::string format, name;
  int64_t length = 0, nulls = 0, offset = 0;
  std::vector<const void*> buffers;
  std::vector<Column> children;
  std::vector<ArrowSchema> schemas = {};
  std::vector<ArrowArray> arrays = {};
  std::vector<ArrowSchema*> schema_pointers = {};
  std::vector<ArrowArray*> array_pointers = {};

  void Give(ArrowSchema& schema, ArrowArray& array) {
    schemas.resize(children.size());
    arrays.resize(children.size());
    schema_pointers.clear();
    array_pointers.clear();
    for (size_t i = 0; i < children.size(); ++i) {
      children[i].Give(schemas[i], arrays[i]);
      schema_pointers.push_back(&schemas[i]);
      array_pointers.push_back(&arrays[i]);
    }
    schema = {};
    schema.format = format.c_str();
    schema.name = name.c_str();
    schema.flags = ARROW_FLAG_NULLABLE;
    schema.n_children = static_cast<int64_t>(children.size());
    schema.children = schema_pointers.data();
    schema.release = [](ArrowSchema* given) { given->release = nullptr, ++released; };
    array = {};
    array.length = length;
    array.null_count = nulls;
    array.offset = offset;
    array.n_buffers = static_cast<int64_t>(buffers.size());
    array.buffers = buffers.data();
    array.n_children = static_cast<int64_t>(children.size());
    array.children = array_pointers.data();
    array.release = [](ArrowArray* given) { given->release = nullptr, ++released; };
  }
};

Column Table(int64_t rows, std::vector<Column> columns) {
  return {"+s", "", rows, 0, 0, {nullptr}, std::move(columns)};
}

RecordBatch Import(Column table) {
  ArrowSchema schema;
  ArrowArray array;
  table.Give(schema, array);
  return RecordBatch::Import(&schema, &array);
}

// The two structs that Export fills, released with it.
struct Exported {
  explicit Exported(const RecordBatch& batch) { batch.Export(&schema, &array); }
  Exported(const Exported&) = delete;
  Exported& operator=(const Exported&) = delete;
  ~Exported() {
    if (array.release != nullptr) array.release(&array);
    if (schema.release != nullptr) schema.release(&schema);
  }
  template <class T>
  std::vector<T> Values(int column, int buffer = 1) const {
    const auto* const begin = static_cast<const T*>(array.children[column]->buffers[buffer]);
    return std::vector<T>(begin, begin + array.children[column]->length);
  }
  ArrowSchema schema{};
  ArrowArray array{};
};

std::string WhyNot(const std::function<void()>& f) {
  try {
    f();
  } catch (const RayException& e) {
    return e.what();
  }
  return "nothing was thrown";
}

const int32_t kNumbers[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
const uint8_t kBits[] = {0b01001101, 0b10};  // 1, 0, 1, 1, 0, 0, 1, 0, 0, 1
const int32_t kOffsets[] = {0, 2, 2, 5, 6};
const char kText[] = "abcdef";

Column Numbers() { return {"i", "numbers", 10, 0, 0, {nullptr, kNumbers}, {}}; }

class RecordBatchTest : public ray_test::InLocalMode {};

// Every kind of column but lists and structs, of three rows.
std::vector<Column> SomeColumns() {
  static const double reals[] = {0.5, -0.0, 2};
  static const int64_t times[] = {1, -1, 1'000'000};
  static const int64_t wide_offsets[] = {0, 1, 3, 3};
  return {{"i", "numbers", 3, 1, 0, {kBits, kNumbers}, {}},
          {"g", "reals", 3, 0, 0, {nullptr, reals}, {}},
          {"b", "flags", 3, 0, 0, {nullptr, kBits}, {}},
          {"u", "names", 3, 1, 0, {kBits, kOffsets, kText}, {}},
          {"Z", "bytes", 3, 0, 0, {nullptr, wide_offsets, kText}, {}},
          {"w:2", "pairs", 3, 0, 0, {nullptr, kText}, {}},
          {"tsu:Europe/Berlin", "times", 3, 0, 0, {nullptr, times}, {}},
          {"tdD", "days", 3, 0, 0, {nullptr, kNumbers}, {}},
          {"e", "halves", 3, 0, 0, {nullptr, kNumbers}, {}}};
}

TEST_F(RecordBatchTest, ColumnsComeOutAsTheyWentIn) {
  const RecordBatch batch = Import(Table(3, SomeColumns()));
  EXPECT_EQ(batch.num_rows(), 3);
  EXPECT_EQ(batch.num_columns(), 9);
  const Exported out(batch);
  EXPECT_EQ(out.schema.format, std::string("+s"));
  EXPECT_EQ(out.array.length, 3);
  const std::vector<Column> columns = SomeColumns();
  for (size_t i = 0; i < columns.size(); ++i) {
    EXPECT_EQ(out.schema.children[i]->format, columns[i].format);
    EXPECT_EQ(out.schema.children[i]->name, columns[i].name);
    EXPECT_EQ(out.schema.children[i]->flags, ARROW_FLAG_NULLABLE);
    EXPECT_EQ(out.array.children[i]->null_count, columns[i].nulls);
    EXPECT_EQ(out.array.children[i]->n_buffers, static_cast<int64_t>(columns[i].buffers.size()));
    EXPECT_EQ(out.array.children[i]->buffers[0] == nullptr, columns[i].nulls == 0);
  }
  EXPECT_EQ(out.Values<int32_t>(0), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(*static_cast<const uint8_t*>(out.array.children[0]->buffers[0]), 0b101);
  EXPECT_TRUE(std::signbit(out.Values<double>(1)[1]));
  EXPECT_EQ(*static_cast<const uint8_t*>(out.array.children[2]->buffers[1]), 0b101);
  EXPECT_EQ(out.Values<int32_t>(3), (std::vector<int32_t>{0, 2, 2}));
  EXPECT_EQ(std::string(static_cast<const char*>(out.array.children[3]->buffers[2]), 5), "abcde");
  EXPECT_EQ(out.Values<int64_t>(4), (std::vector<int64_t>{0, 1, 3}));
  EXPECT_EQ(std::string(static_cast<const char*>(out.array.children[5]->buffers[1]), 6), "abcdef");
  EXPECT_EQ(out.Values<int64_t>(6), (std::vector<int64_t>{1, -1, 1'000'000}));
}

// A library may give a part of something larger.
TEST_F(RecordBatchTest, ASliceIsStoredAlone) {
  Column numbers{"i", "", 7, -1, 1, {kBits, kNumbers}, {}};  // of which the table takes rows 2 to 4: 4, 5, 6
  Column flags{"b", "", 9, 0, 0, {nullptr, kBits}, {}};
  Column names{"u", "", 4, 0, 0, {nullptr, kOffsets, kText}, {}};
  Column table{"+s", "", 2, 0, 2, {nullptr}, {numbers, flags, names}};
  const RecordBatch batch = Import(table);
  const Exported out(batch);
  EXPECT_EQ(out.array.offset, 0);
  EXPECT_EQ(out.Values<int32_t>(0), (std::vector<int32_t>{4, 5}));
  EXPECT_EQ(out.array.children[0]->null_count, 1);
  EXPECT_EQ(*static_cast<const uint8_t*>(out.array.children[0]->buffers[0]), 0b01);
  EXPECT_EQ(*static_cast<const uint8_t*>(out.array.children[1]->buffers[1]), 0b11);
  EXPECT_EQ(static_cast<const int32_t*>(out.array.children[2]->buffers[1])[2], 4);
  EXPECT_EQ(std::string(static_cast<const char*>(out.array.children[2]->buffers[2]), 4), "cdef");
}

TEST_F(RecordBatchTest, ListsAndStructsHaveColumnsWithin) {
  Column list{"+l", "lists", 4, 0, 0, {nullptr, kOffsets}, {Numbers()}};
  Column pair{"+s", "structs", 4, 0, 0, {nullptr}, {Numbers(), {"u", "text", 4, 0, 0, {nullptr, kOffsets, kText}, {}}}};
  const RecordBatch batch = Import(Table(4, {list, pair}));
  const Exported out(batch);
  const ArrowArray& numbers = *out.array.children[0]->children[0];
  EXPECT_EQ(numbers.length, 6);  // those that the lists use
  EXPECT_EQ(static_cast<const int32_t*>(numbers.buffers[1])[5], 6);
  EXPECT_EQ(out.array.children[1]->children[0]->length, 4);
  EXPECT_EQ(out.schema.children[1]->children[1]->name, std::string("text"));
}

TEST_F(RecordBatchTest, ABatchTravelsWithoutACopy) {
  const RecordBatch batch = Import(Table(10, {Numbers()}));
  const auto address = reinterpret_cast<uintptr_t>(batch.stream().data());
  EXPECT_EQ(*ray::Task(AddressOfBatch).Remote(batch).Get(), address);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(ray::Task(SameBatch).Remote(batch).Get()->stream().data()), address);
  EXPECT_EQ(*ray::Task(RowsOf).Remote(ray::Put(batch)).Get(), 10);
  const Exported out(batch);
  const auto values = reinterpret_cast<uintptr_t>(out.array.children[0]->buffers[1]);
  EXPECT_GE(values, address);
  EXPECT_LT(values, address + batch.stream().size());
  EXPECT_EQ(values % 64, 0U);
  EXPECT_EQ(ray::Put(RecordBatch()).Get()->num_columns(), 0);
}

TEST_F(RecordBatchTest, PutTakesWhatAnotherLibraryGives) {
  Column table = Table(10, {Numbers()});
  ArrowSchema schema;
  ArrowArray array;
  table.Give(schema, array);
  released = 0;
  const ray::ObjectRef<RecordBatch> stored = ray::Put(&schema, &array);
  EXPECT_EQ(released, 2);  // the table; it releases its columns
  EXPECT_EQ(schema.release, nullptr);
  const auto all = ray::Get(std::vector{stored, stored});
  EXPECT_EQ(all[1]->num_rows(), 10);
}

TEST_F(RecordBatchTest, TheMemoryStaysUntilTheLastRelease) {
  ArrowSchema schema;
  ArrowArray array;
  Import(Table(10, {Numbers(), Numbers()})).Export(&schema, &array);
  schema.release(&schema);
  // A consumer may take a column out, and release the rest.
  ArrowArray column = *array.children[1];
  array.children[1]->release = nullptr;
  array.release(&array);
  EXPECT_EQ(array.release, nullptr);
  EXPECT_EQ(static_cast<const int32_t*>(column.buffers[1])[9], 10);
  column.release(&column);
}

TEST_F(RecordBatchTest, ColumnsThatCannotBeStoredAreNamed) {
  const auto why = [](Column column) { return WhyNot([&] { Import(Table(column.length, {column})); }); };
  const auto expect = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expect(why({"d:10,2", "price", 1, 0, 0, {nullptr, kNumbers}, {}}), "column 'price' cannot be stored");
  expect(why({"n", "nothing", 1, 1, 0, {}, {}}), "\"n\"");
  expect(why({"i", "few", 1, 0, 0, {nullptr}, {}}), "has 1 buffer, and not 2");
  expect(why({"i", "none", 1, 0, 0, {nullptr, nullptr}, {}}), "its second buffer is null");
  expect(why({"+l", "list", 1, 0, 0, {nullptr, kOffsets}, {}}), "a list of 0 children");
  const int32_t back[] = {0, 5, 3};
  expect(why({"u", "back", 2, 0, 0, {nullptr, back, kText}, {}}), "offsets that go back, at row 1");
  expect(WhyNot([] { Import(Table(11, {Numbers()})); }), "has 10 rows, and the column around it uses row 10");
  expect(WhyNot([] { Import(Numbers()); }), "put a single column into a struct");
  expect(WhyNot([] { Import({"+s", "", 10, 1, 0, {kBits}, {Numbers()}}); }), "null as a whole");
  Column deep = Numbers();
  for (int i = 0; i < 9; ++i) deep = {"+s", "deep", 10, 0, 0, {nullptr}, {deep}};
  expect(why(deep), "more than 8");
  ArrowSchema schema{};
  ArrowArray array{};
  expect(WhyNot([&] { RecordBatch::Import(&schema, &array); }), "released already");
  expect(WhyNot([] { Exported out{RecordBatch()}; }), "nothing to export");
}

TEST_F(RecordBatchTest, ACountOfNullsThatCannotBeIsRefused) {
  const auto why = [](int64_t nulls, const void* bitmap) {
    return WhyNot([&] { Import(Table(3, {{"i", "numbers", 3, nulls, 0, {bitmap, kNumbers}, {}}})); });
  };
  EXPECT_NE(why(99, kBits).find("column 'numbers' has a null_count of 99, and takes one from -1, not counted, to 3"),
            std::string::npos)
      << why(99, kBits);
  EXPECT_NE(why(4, nullptr).find("has a null_count of 4, and takes one from -1"), std::string::npos) << why(4, nullptr);
  EXPECT_NE(why(-2, kBits).find("has a null_count of -2, and takes one from -1"), std::string::npos) << why(-2, kBits);
  EXPECT_NE(why(1, nullptr)
                .find("column 'numbers' has a null_count of 1, and takes 0 at most, since it has no validity "
                      "bitmap"),
            std::string::npos)
      << why(1, nullptr);
  for (const auto& [nulls, bitmap] : std::initializer_list<std::pair<int64_t, const void*>>{
           {-1, nullptr}, {0, nullptr}, {-1, kBits}, {1, kBits}, {3, kBits}})
    EXPECT_EQ(why(nulls, bitmap), "nothing was thrown") << nulls;
  // Of a struct's and a list's columns, too.
  const Column wrong{"i", "inner", 3, 5, 0, {kBits, kNumbers}, {}};
  EXPECT_NE(WhyNot([&] {
              Import(Table(3, {{"+s", "outer", 3, 0, 0, {nullptr}, {wrong}}}));
            }).find("column 'inner'"),
            std::string::npos);
}

// Another program's stream: the count is changed in the metadata of one of ours.
TEST_F(RecordBatchTest, ACountOfNullsThatCannotBeIsRefusedInAStream) {
  const auto with_count = [](int64_t given, const void* bitmap, int64_t changed) {
    const RecordBatch batch = Import(Table(3, {{"i", "numbers", 3, given, 0, {bitmap, kNumbers}, {}}}));
    const std::span<const std::byte> good = batch.stream();
    const int64_t node[] = {3, given};  // as the stream has it: rows and nulls
    std::string stream(reinterpret_cast<const char*>(good.data()), good.size());
    const size_t at = stream.find(std::string_view(reinterpret_cast<const char*>(node), sizeof node));
    EXPECT_NE(at, std::string::npos);
    if (at != std::string::npos) std::memcpy(stream.data() + at + sizeof(int64_t), &changed, sizeof changed);
    return WhyNot([&] { RecordBatch::CopyOfStream(std::as_bytes(std::span(stream))); });
  };
  EXPECT_EQ(with_count(1, kBits, 1), "nothing was thrown");
  for (const int64_t count : {int64_t{99}, int64_t{-1}})
    EXPECT_NE(with_count(1, kBits, count)
                  .find(raylet::StrCat("column 'numbers' has a null_count of ", count, ", and takes one from 0 to 3")),
              std::string::npos)
        << with_count(1, kBits, count);
  EXPECT_NE(with_count(0, nullptr, 2)
                .find("column 'numbers' has a null_count of 2, and takes 0 at most, since its validity bitmap has 0 "
                      "bytes, and its rows take 1"),
            std::string::npos)
      << with_count(0, nullptr, 2);
}

TEST_F(RecordBatchTest, ARefusedBatchIsReleasedToo) {
  Column table = Table(1, {{"n", "nothing", 1, 1, 0, {}, {}}});
  ArrowSchema schema;
  ArrowArray array;
  table.Give(schema, array);
  released = 0;
  EXPECT_THROW(RecordBatch::Import(&schema, &array), RayException);
  EXPECT_EQ(released, 2);
}

TEST_F(RecordBatchTest, AStreamOfPyarrowIsRead) {
  const std::string stream = arrow_messages::FromHex(arrow_messages::kStreamOfPyarrow);
  const RecordBatch batch = RecordBatch::CopyOfStream(std::as_bytes(std::span(stream)));
  const Exported out(batch);
  EXPECT_EQ(out.array.length, 3);
  EXPECT_EQ(out.schema.children[0]->name, std::string("n"));
  EXPECT_EQ(out.Values<int64_t>(0)[2], 3);
  EXPECT_EQ(out.array.children[1]->null_count, 1);
  EXPECT_EQ(std::string(static_cast<const char*>(out.array.children[1]->buffers[2]), 3), "abc");
}

TEST_F(RecordBatchTest, AnArrayIsNoBatchAndABatchIsNoArray) {
  const auto array = ray::Array<int>::CopyOf(kNumbers);
  EXPECT_THROW(RecordBatch::CopyOfStream(array.tensor_message()), RayException);
  const RecordBatch batch = Import(Table(10, {Numbers()}));
  EXPECT_THROW(ray::Array<int>::CopyOfTensorMessage(batch.stream()), RayException);
  EXPECT_THROW(RecordBatch::CopyOfStream({}), RayException);
}

// Cut anywhere, it is refused, but for the mark of the end. With any byte changed, buffers lie in the stream still.
TEST_F(RecordBatchTest, DamageNeverLeadsOutOfTheStream) {
  using ray::internal::BatchColumn;
  using ray::internal::ParseBatchStream;
  Column list{"+l", "lists", 3, 0, 0, {nullptr, kOffsets}, {Numbers()}};
  std::vector<Column> columns = SomeColumns();
  columns.push_back(list);
  const RecordBatch batch = Import(Table(3, columns));
  const std::span<const std::byte> good = batch.stream();
  std::vector<uint64_t> memory(good.size() / sizeof(uint64_t) + 8);
  auto* const begin = reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
  const auto reset = [&] { std::ranges::copy(good, begin); };
  reset();
  for (size_t length = 0; length < good.size(); length += 7)
    EXPECT_EQ(ParseBatchStream({begin, length}).has_value(), length == good.size() - 8) << length;
  const std::function<void(const BatchColumn&)> inside = [&](const BatchColumn& column) {
    for (const void* buffer : column.buffers) {
      const auto* const at = static_cast<const std::byte*>(buffer);
      EXPECT_TRUE(at == nullptr || (at >= begin && at <= begin + good.size()));
    }
    for (const BatchColumn& child : column.children) inside(child);
  };
  for (size_t at = 0; at < good.size(); ++at) {
    for (const int other : {0x00, 0x7f, 0xff, static_cast<int>(good[at]) ^ 0x04}) {
      begin[at] = static_cast<std::byte>(other);
      if (const auto parsed = ParseBatchStream({begin, good.size()}))
        for (const BatchColumn& column : parsed->columns) inside(column);
      begin[at] = good[at];
    }
  }
}

}  // namespace record_batch_test
