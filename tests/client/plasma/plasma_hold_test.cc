// Holds of the manual form: from Create or Get until as many Releases.
#include <cstring>
#include <thread>

#include "tests/client/plasma/plasma_fixture.h"

namespace plasma {
namespace {

using raylet::test::TextOf;

class PlasmaHoldTest : public PlasmaApiTest {
 protected:
  std::string Text(const uint8_t* bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }
};

TEST_F(PlasmaHoldTest, CreatedObjectIsHeldUntilItsRelease) {
  const auto id = ObjectID::from_random();
  const uint8_t* bytes = nullptr;
  {
    std::shared_ptr<Buffer> data;
    ASSERT_STATUS_OK(client_.Create(id, 5, nullptr, 0, &data));
    std::memcpy(data->mutable_data(), "still", 5);
    bytes = data->data();
  }
  ASSERT_STATUS_OK(client_.Seal(id));
  Overwrite(other_);
  EXPECT_EQ(Text(bytes, 5), "still");
  bool there = false;
  ASSERT_STATUS_OK(other_.Contains(id, &there));
  EXPECT_TRUE(there);
  ASSERT_STATUS_OK(client_.Release(id));
  EXPECT_TRUE(client_.Release(id).IsPlasmaObjectNotFound());
  Overwrite(other_);
  ASSERT_STATUS_OK(other_.Contains(id, &there));
  EXPECT_FALSE(there);
}

TEST_F(PlasmaHoldTest, ObjectIsHeldUntilAsManyReleasesAsGets) {
  const auto id = Put("counted");
  ObjectBuffer first, second[2];
  ASSERT_STATUS_OK(other_.Get(&id, 1, 0, &first));
  const ObjectID twice[] = {id, id};
  ASSERT_STATUS_OK(other_.Get(twice, 2, 0, second));
  for (int i = 0; i < 3; ++i) {
    Overwrite(client_);
    EXPECT_EQ(first.data->ToString(), "counted");
    ASSERT_STATUS_OK(other_.Release(id));
  }
  EXPECT_TRUE(other_.Release(id).IsPlasmaObjectNotFound());
  Overwrite(client_);
  bool there = true;
  ASSERT_STATUS_OK(client_.Contains(id, &there));
  EXPECT_FALSE(there);
}

TEST_F(PlasmaHoldTest, DeletedObjectKeepsItsIdAndBytesUntilItsLastRelease) {
  const auto id = Put("older");
  ObjectBuffer first, second;
  ASSERT_STATUS_OK(other_.Get(&id, 1, 0, &first));
  ASSERT_STATUS_OK(client_.Delete(id));
  ASSERT_STATUS_OK(other_.Get(&id, 1, 0, &second));
  EXPECT_TRUE(client_.CreateAndSeal(id, "newer", "").IsPlasmaObjectExists());
  EXPECT_EQ(ObjectsOf(client_), 1u);
  ASSERT_STATUS_OK(other_.Release(id));
  Overwrite(client_);
  EXPECT_EQ(first.data->ToString(), "older");
  ASSERT_STATUS_OK(other_.Release(id));
  ASSERT_STATUS_OK(client_.CreateAndSeal(id, "newer", ""));
  EXPECT_EQ(TextOf(other_.GetView(id, 0).data()), "newer");
}

TEST_F(PlasmaHoldTest, ReleaseDuringASealEndsTheHoldOfItsCreate) {
  for (int i = 0; i < 100; ++i) {
    const auto id = ObjectID::from_random();
    std::shared_ptr<Buffer> data;
    ASSERT_STATUS_OK(client_.Create(id, 5, nullptr, 0, &data));
    std::thread releaser([&] { EXPECT_TRUE(client_.Release(id).ok()); });
    EXPECT_TRUE(client_.Seal(id).ok());
    releaser.join();
    EXPECT_FALSE(client_.IsInUse(id));
    ASSERT_STATUS_OK(client_.Delete(id));
    bool there = true;
    ASSERT_STATUS_OK(other_.Contains(id, &there));
    EXPECT_FALSE(there);
  }
}

TEST_F(PlasmaHoldTest, AbortIsPossibleOnceTheHoldIsReleasedAlthoughABufferIsLeft) {
  const auto id = ObjectID::from_random();
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 10, nullptr, 0, &data));
  EXPECT_TRUE(client_.Abort(id).IsInvalid());
  ASSERT_STATUS_OK(client_.Release(id));
  ASSERT_STATUS_OK(client_.Abort(id));
  EXPECT_TRUE(client_.Release(id).IsPlasmaObjectNotFound());
  EXPECT_EQ(ObjectsOf(other_), 0u);
}

TEST_F(PlasmaHoldTest, AbortEndsTheHoldOfItsCreate) {
  const auto id = ObjectID::from_random();
  std::shared_ptr<Buffer> data;
  ASSERT_STATUS_OK(client_.Create(id, 10, nullptr, 0, &data));
  data.reset();
  ASSERT_STATUS_OK(client_.Abort(id));
  EXPECT_TRUE(client_.Release(id).IsPlasmaObjectNotFound());
}

TEST_F(PlasmaHoldTest, BuffersOfTheManualFormStayMappedAfterTheirClient) {
  const auto id = Put(std::string(100'000, 'm'));
  ObjectBuffer got;
  {
    PlasmaClient client;
    ASSERT_STATUS_OK(client.Connect(socket()));
    ASSERT_STATUS_OK(client.Get(&id, 1, 0, &got));
  }
  EXPECT_EQ((*got.data)[99'999], 'm');  // nothing has been written over it
}

}  // namespace
}  // namespace plasma
