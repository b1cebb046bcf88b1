// Subscriptions of both stores.
#include <sys/socket.h>
#include <unistd.h>

#include "behaviour.h"

namespace behaviour {
namespace {

class Notices : public Behaviour {
 protected:
  void SetUp() override {
    Behaviour::SetUp();
    ASSERT_STORE_OK(other_.Subscribe(&fd_));
    ASSERT_GT(fd_, 0);
  }
  void TearDown() override {
    ::close(fd_);
    Behaviour::TearDown();
  }
  void Expect(const ObjectID& id, int64_t data_size, int64_t metadata_size) {
    ObjectID told;
    int64_t data = 0, metadata = 0;
    ASSERT_STORE_OK(other_.GetNotification(fd_, &told, &data, &metadata));
    ASSERT_TRUE(told == id);
    ASSERT_EQ(data, data_size);
    ASSERT_EQ(metadata, metadata_size);
  }
  void ExpectGone(const ObjectID& id) { Expect(id, -1, -1); }
  int fd_ = -1;
};

TEST_F(Notices, TellOfEachSealInOrder) {
  std::mt19937 random{1};
  for (const size_t count : {1, 10, 100, 1000, 5000}) {
    const std::vector<ObjectID> ids = NewIds(count);
    std::vector<int64_t> data, metadata;
    for (const ObjectID& id : ids) {
      data.push_back(static_cast<int64_t>(random() % 500));
      metadata.push_back(static_cast<int64_t>(random() % 500));
      PutAs(client_, id, data.back(), metadata.back());
    }
    for (size_t i = 0; i < count; ++i) ASSERT_NO_FATAL_FAILURE(Expect(ids[i], data[i], metadata[i]));
  }
}

TEST_F(Notices, TellALateSubscriberOfWhatIsThere) {
  const ObjectID id = Put(client_, 100, 1);
  PlasmaClient late;
  ASSERT_STORE_OK(late.Connect(socket()));
  int fd = -1;
  ASSERT_STORE_OK(late.Subscribe(&fd));
  ObjectID told;
  int64_t data = 0, metadata = 0;
  ASSERT_STORE_OK(late.GetNotification(fd, &told, &data, &metadata));
  EXPECT_TRUE(told == id);
  EXPECT_EQ(data, 100);
  EXPECT_EQ(metadata, 1);
  ASSERT_STORE_OK(client_.Delete(id));
  ASSERT_STORE_OK(late.GetNotification(fd, &told, &data, &metadata));
  EXPECT_TRUE(told == id);
  EXPECT_EQ(data, -1);
  EXPECT_EQ(metadata, -1);
  ASSERT_STORE_OK(late.Disconnect());
  ::close(fd);
}

TEST_F(Notices, TellOfADeletedObjectOnceItIsReleased) {
  const ObjectID id = NewId();
  std::shared_ptr<Buffer> data;
  ASSERT_STORE_OK(client_.Create(id, 100, nullptr, 0, &data));
  ASSERT_STORE_OK(client_.Seal(id));
  Expect(id, 100, 0);
  ASSERT_STORE_OK(client_.Delete(id));
  Put(client_, 7);
  int64_t data_size = 0, metadata_size = 0;
  ObjectID told;
  ASSERT_STORE_OK(other_.GetNotification(fd_, &told, &data_size, &metadata_size));
  EXPECT_EQ(data_size, 7);
  ASSERT_STORE_OK(client_.Release(id));
  ExpectGone(id);
}

TEST_F(Notices, TellOfABatchInItsOrder) {
  const std::vector<ObjectID> ids = NewIds(2);
  ASSERT_STORE_OK(client_.CreateAndSealBatch(ids, {"hello", "world!"}, {"1", "23"}));
  Expect(ids[0], 5, 1);
  Expect(ids[1], 6, 2);
}

TEST_F(Notices, TellOfEachEviction) {
  for (const int64_t size : {5, 6}) {
    const ObjectID id = Put(client_, size);
    Expect(id, size, 0);
    EXPECT_EQ(Evict(client_, 1), size);
    ExpectGone(id);
  }
  const std::vector<ObjectID> ids = NewIds(10);
  for (size_t i = 0; i < ids.size(); ++i) PutAs(client_, ids[i], i < 9 ? 0 : 77);
  for (size_t i = 0; i < ids.size(); ++i) Expect(ids[i], i < 9 ? 0 : 77, 0);
  EXPECT_EQ(Evict(client_, 1), 77);  // those without bytes go with it
  for (const ObjectID& id : ids) ExpectGone(id);
}

TEST_F(Notices, SayNothingOfWhatIsNotSealed) {
  const ObjectID aborted = NewId();
  std::shared_ptr<Buffer> data;
  ASSERT_STORE_OK(client_.Create(aborted, 5, nullptr, 0, &data));
  ASSERT_STORE_OK(client_.Release(aborted));
  ASSERT_STORE_OK(client_.Abort(aborted));
  const ObjectID id = Put(client_, 6);
  Expect(id, 6, 0);
}

TEST_F(Notices, CanBeReadFromTheSocketAndDecoded) {
  const std::vector<ObjectID> ids = NewIds(100);
  for (size_t i = 0; i < ids.size(); ++i) PutAs(client_, ids[i], static_cast<int64_t>(i), 3);
  for (size_t i = 0; i < ids.size(); ++i) {
    int64_t length = 0;
    ASSERT_EQ(::recv(fd_, &length, sizeof length, MSG_WAITALL), 8);
    std::vector<uint8_t> content(static_cast<size_t>(length));
    ASSERT_EQ(::recv(fd_, content.data(), content.size(), MSG_WAITALL), length);
    std::vector<ObjectID> told;
    std::vector<int64_t> data, metadata;
    ASSERT_STORE_OK(other_.DecodeNotifications(content.data(), &told, &data, &metadata));
    ASSERT_EQ(told.size(), 1u);
    ASSERT_TRUE(told[0] == ids[i]);
    ASSERT_EQ(data[0], static_cast<int64_t>(i));
    ASSERT_EQ(metadata[0], 3);
  }
}

}  // namespace
}  // namespace behaviour
