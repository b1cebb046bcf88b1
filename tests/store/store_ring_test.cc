// A client's put ring at a real plasma_store: nonsense ends that client alone.
#include "base/ring.h"

#include "base/bell.h"
#include "fbs/put_page.h"
#include "tests/store/store_daemon_fixture.h"

namespace raylet::test {
namespace {

class StoreRingTest : public StoreDaemonTest {
 protected:
  struct PutRing {
    Mapping memory;
    Bell bell;
    RingProducer ring;
    PutPage& page() { return *memory.As<PutPage>(); }
  };
  PutRing OpenRing(RawClient& client) {
    client.Send(wire::StoreMessage::OpenPutRing, wire::OpenPutRingRequestT());
    EXPECT_EQ(RawClient::CodeOf(client.Reply<wire::PutRingReplyT>()), ErrorCode::kOk);
    auto& fds = client.connection.fds();  // after the four of the Hello
    EXPECT_EQ(fds.size(), 6u);
    PutRing opened;
    opened.memory = *Mapping::Map(fds[4].get(), PutPageBytes(), Mapping::Access::kReadWrite);
    opened.bell = Bell::OfEvent(std::move(fds[5]));
    const std::span<std::byte> bytes(opened.memory.data(), PutPageBytes());
    EXPECT_TRUE(CheckPutPage(bytes, client.number));
    opened.ring = *RingProducer::Attach(PutRingOf(bytes));
    return opened;
  }
  static void Push(PutRing& ring, uint32_t type, std::span<const std::byte> bytes) {
    ASSERT_TRUE(ring.ring.TryPush(type, bytes));
    if (TakeDaemonSleeps(ring.page())) ring.bell.Ring();
  }
  template <class T>
  static std::span<const std::byte> BytesOf(const T& value) {
    return std::as_bytes(std::span(&value, 1));
  }
};

TEST_F(StoreRingTest, ClientThatPostsNonsenseIsClosedAndItsLeasesGoBack) {
  RawClient other = Connect();
  const PutPost not_leased{
      .frames = 0, .id = {1}, .slot = 7, .data_bytes = 1, .metadata_bytes = 0, .owner = 0, .flags = 0};
  const std::byte text[13] = {};
  for (const bool unknown : {false, true}) {
    RawClient client = Connect();
    PutRing ring = OpenRing(client);
    const PutWant want{.put_class = 3, .count = 8};
    Push(ring, static_cast<uint32_t>(PutPostType::kWant), BytesOf(want));
    ASSERT_TRUE(Eventually(std::chrono::seconds(30), [&] { return ring.page().done == 1; }));
    EXPECT_EQ(other.counters().leased_bytes, 8 * PutClassBytes(3));
    if (unknown)
      Push(ring, 99, text);
    else
      Push(ring, static_cast<uint32_t>(PutPostType::kPut), BytesOf(not_leased));
    EXPECT_FALSE(client.Next()) << "the daemon closes the connection";
    EXPECT_TRUE(Eventually(std::chrono::seconds(30),
                           [&] { return other.counters().leased_bytes == 0 && other.counters().physical_bytes == 0; }));
  }
  EXPECT_EQ(other.Create(1, 10), ErrorCode::kOk) << "nobody else is affected";
}

TEST_F(StoreRingTest, PostThatNamesMoreMessagesThanWereSentWaitsAndHoldsUpNobody) {
  RawClient client = Connect(), other = Connect();
  PutRing ring = OpenRing(client);
  ASSERT_EQ(client.Create(5, 10), ErrorCode::kOk);
  PutPost seal{};
  seal.id[0] = 5;
  seal.frames = 3;  // the third is still to come
  Push(ring, static_cast<uint32_t>(PutPostType::kSeal), BytesOf(seal));
  EXPECT_EQ(other.Create(6, 10), ErrorCode::kOk);
  EXPECT_EQ(ring.page().done, 0u);
  EXPECT_EQ(client.Create(7, 10), ErrorCode::kOk);
  EXPECT_TRUE(Eventually(std::chrono::seconds(30), [&] { return ring.page().done == 1; }));
  EXPECT_EQ(ring.page().outcomes[0], static_cast<uint16_t>(ErrorCode::kOk));
  EXPECT_EQ(other.counters().sealed_count, 1u);
}

}  // namespace
}  // namespace raylet::test
