// Arrays in a real store: the bytes of their objects, and arrays that another program has put there.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <string>
#include <vector>

#include <ray/arrow.h>

#include "client/plasma/store_client.h"
#include "tests/client/ray/api/arrow_messages.h"
#include "tests/client/ray/cluster/cluster_functions.h"
#include "tests/client/ray/cluster/daemons_fixture.h"

namespace cluster_test {
namespace {

using raylet::Deadline;
using raylet::ObjectId;
using raylet::client::StoreClient;
using namespace std::chrono_literals;

class ClusterArrayTest : public DaemonsTest {
 protected:
  void SetUp() override {
    Start("1");
    auto client = StoreClient::Connect(store_socket_, "other", Deadline::After(30s), false);
    ASSERT_TRUE(client) << client.error().message;
    other_ = *std::move(client);
  }
  void TearDown() override {
    other_.reset();
    DaemonsTest::TearDown();
  }

  std::shared_ptr<StoreClient> other_;  // a program that knows nothing of ray::
};

ray::Array<float> SomeFloats() {
  ray::MutableArray<float> array(2, 3);
  std::iota(array.begin(), array.end(), 1.5F);
  return std::move(array).Seal();
}

TEST_F(ClusterArrayTest, AnArraysObjectIsAnArrowMessage) {
  const ray::Array<float> array = SomeFloats();
  const std::string packed = ray::internal::PackBytes(array);  // the id is the last thing in it
  const auto id = ObjectId::FromBinary(packed.substr(packed.size() - ObjectId::kSize));
  const auto view = other_->Get(id, Deadline::After(30s));
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_TRUE(std::ranges::equal(view->data(), array.tensor_message()));
  EXPECT_TRUE(view->metadata().empty());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(array.data()) % 64, 0U);
}

TEST_F(ClusterArrayTest, AMessageInTheStoreIsAnArray) {
  const ray::Array<float> given = SomeFloats();
  const auto message = given.tensor_message();
  const auto id = ObjectId::FromRandom();
  ASSERT_TRUE(other_->CreateAndSeal(id, message, {}, {}));
  ray::Array<float> array;
  array.UnpackExtension(id.binary());
  EXPECT_EQ(array.at(1, 2), 6.5);
  EXPECT_EQ(*ray::Task(SumArray).Remote(array).Get(20'000), 24);

  const auto cut = ObjectId::FromRandom();
  ASSERT_TRUE(other_->CreateAndSeal(cut, message.first(message.size() - 1), {}, {}));
  EXPECT_THROW(array.UnpackExtension(cut.binary()), ray::internal::RayException);
  EXPECT_EQ(array.at(0, 0), 1.5) << "it is what it was";
}

int64_t RowsOfBatch(const ray::RecordBatch& batch) { return batch.num_rows(); }
RAY_REMOTE(RowsOfBatch);

TEST_F(ClusterArrayTest, ABatchStaysInTheStoreUntilItsRelease) {
  ArrowSchema schema;
  ArrowArray array;
  ObjectId id;
  {
    const std::string stream = arrow_messages::FromHex(arrow_messages::kStreamOfPyarrow);
    const auto batch = ray::RecordBatch::CopyOfStream(std::as_bytes(std::span(stream)));
    EXPECT_EQ(*ray::Task(RowsOfBatch).Remote(batch).Get(20'000), 3);
    const std::string packed = ray::internal::PackBytes(batch);
    id = ObjectId::FromBinary(packed.substr(packed.size() - ObjectId::kSize));
    batch.Export(&schema, &array);
  }
  schema.release(&schema);
  EXPECT_EQ(static_cast<const int64_t*>(array.children[0]->buffers[1])[2], 3);
  EXPECT_TRUE(other_->Contains(id).value_or(false));
  array.release(&array);
  EXPECT_TRUE(raylet::test::Eventually(30s, [&] { return !other_->Contains(id).value_or(true); }));
}

}  // namespace
}  // namespace cluster_test
