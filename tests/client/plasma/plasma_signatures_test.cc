// Every public name of Plasma's headers, as programs that were written for Plasma use it: what compiles there compiles
// here.
#include <plasma/arrow_names.h>  // in the place of arrow/buffer.h and arrow/status.h

#include <plasma/client.h>
#include <plasma/common.h>
#include <plasma/compat.h>
#include <plasma/test_util.h>

#include <gtest/gtest.h>

#include <cstring>
#include <sstream>
#include <type_traits>
#include <unordered_set>

namespace {

// As a member of a program's own class, in the global namespace: Plasma's headers put these two names there.
struct Program {
  Status Run() { return Status::OK(); }
  std::shared_ptr<Buffer> buffer;
};

// ---- PlasmaClient: each method with the arguments that Plasma's declares ----
using Client = plasma::PlasmaClient;
using plasma::ObjectBuffer;
using plasma::ObjectID;
using Ids = std::vector<ObjectID>;
using Texts = std::vector<std::string>;
using arrow::Buffer;
using arrow::Status;

template <auto kMethod, class Returned, class... Args>
constexpr bool Takes() {
  return std::is_invocable_r_v<Returned, decltype(kMethod), Client&, Args...>;
}
static_assert(std::is_default_constructible_v<Client> && std::is_copy_constructible_v<Client> &&
              std::is_copy_assignable_v<Client>);
static_assert(Takes<&Client::Connect, Status, const std::string&, const std::string&, int, int>());
static_assert(Takes<&Client::SetClientOptions, Status, const std::string&, int64_t>());
static_assert(Takes<&Client::Create, Status, const ObjectID&, int64_t, const uint8_t*, int64_t,
                    std::shared_ptr<Buffer>*, int, bool>());
static_assert(Takes<&Client::CreateAndSeal, Status, const ObjectID&, const std::string&, const std::string&, bool>());
static_assert(Takes<&Client::CreateAndSealBatch, Status, const Ids&, const Texts&, const Texts&, bool>());
static_assert(Takes<static_cast<Status (Client::*)(const Ids&, int64_t, std::vector<ObjectBuffer>*)>(&Client::Get),
                    Status, const Ids&, int64_t, std::vector<ObjectBuffer>*>());
static_assert(Takes<static_cast<Status (Client::*)(const ObjectID*, int64_t, int64_t, ObjectBuffer*)>(&Client::Get),
                    Status, const ObjectID*, int64_t, int64_t, ObjectBuffer*>());
static_assert(Takes<&Client::Release, Status, const ObjectID&>());
static_assert(Takes<&Client::Contains, Status, const ObjectID&, bool*>());
static_assert(Takes<&Client::List, Status, plasma::ObjectTable*>());
static_assert(Takes<&Client::Abort, Status, const ObjectID&>());
static_assert(Takes<&Client::Seal, Status, const ObjectID&>());
static_assert(Takes<static_cast<Status (Client::*)(const ObjectID&)>(&Client::Delete), Status, const ObjectID&>());
static_assert(Takes<static_cast<Status (Client::*)(const Ids&)>(&Client::Delete), Status, const Ids&>());
static_assert(Takes<&Client::Evict, Status, int64_t, int64_t&>());
static_assert(Takes<&Client::Refresh, Status, const Ids&>());
static_assert(Takes<&Client::Hash, Status, const ObjectID&, uint8_t*>());
static_assert(Takes<&Client::Subscribe, Status, int*>());
static_assert(Takes<&Client::GetNotification, Status, int, ObjectID*, int64_t*, int64_t*>());
static_assert(
    Takes<&Client::DecodeNotifications, Status, const uint8_t*, Ids*, std::vector<int64_t>*, std::vector<int64_t>*>());
static_assert(Takes<&Client::Disconnect, Status>());
static_assert(Takes<&Client::DebugString, std::string>());
static_assert(Takes<&Client::store_capacity, int64_t>());
static_assert(Takes<&Client::IsInUse, bool, const ObjectID&>());

// ---- ids ----
static_assert(std::is_same_v<plasma::ObjectID, plasma::UniqueID>);
static_assert(std::is_trivial_v<ObjectID> && std::is_standard_layout_v<ObjectID> && sizeof(ObjectID) == 20);
static_assert(plasma::kUniqueIDSize == 20 && plasma::kDigestSize == 8 && ObjectID::size() == 20);

// ---- entries of List ----
using Entry = plasma::ObjectTableEntry;
static_assert(
    std::is_same_v<decltype(Entry::fd), int> && std::is_same_v<decltype(Entry::device_num), int> &&
    std::is_same_v<decltype(Entry::map_size), int64_t> && std::is_same_v<decltype(Entry::offset), ptrdiff_t> &&
    std::is_same_v<decltype(Entry::pointer), uint8_t*> && std::is_same_v<decltype(Entry::data_size), int64_t> &&
    std::is_same_v<decltype(Entry::metadata_size), int64_t> && std::is_same_v<decltype(Entry::ref_count), int> &&
    std::is_same_v<decltype(Entry::create_time), int64_t> &&
    std::is_same_v<decltype(Entry::construct_duration), int64_t> &&
    std::is_same_v<decltype(Entry::state), plasma::ObjectState> && sizeof(Entry::digest) == plasma::kDigestSize &&
    std::is_same_v<decltype(Entry::ipc_handle), std::shared_ptr<plasma::internal::CudaIpcPlaceholder>>);
static_assert(std::is_same_v<plasma::ObjectTable, std::unordered_map<ObjectID, std::unique_ptr<Entry>>>);
static_assert(static_cast<int>(plasma::ObjectState::PLASMA_CREATED) == 1 &&
              static_cast<int>(plasma::ObjectState::PLASMA_SEALED) == 2 &&
              static_cast<int>(plasma::ObjectState::PLASMA_EVICTED) == 3);
static_assert(static_cast<int>(plasma::ObjectLocation::Local) == 0 &&
              static_cast<int>(plasma::ObjectLocation::Remote) == 1 &&
              static_cast<int>(plasma::ObjectLocation::NotFound) == 2);
static_assert(static_cast<int>(plasma::PlasmaErrorCode::PlasmaObjectExists) == 1 &&
              static_cast<int>(plasma::PlasmaErrorCode::PlasmaObjectNotFound) == 2 &&
              static_cast<int>(plasma::PlasmaErrorCode::PlasmaStoreFull) == 3 &&
              static_cast<int>(plasma::PlasmaErrorCode::PlasmaObjectAlreadySealed) == 4);

TEST(PlasmaSignatures, IdsAreTrivialAndComeFromText) {
  const std::string text(20, 'x');
  ObjectID id = ObjectID::from_binary(text);
  EXPECT_EQ(id.binary(), text);
  EXPECT_EQ(std::memcmp(id.data(), text.data(), 20), 0);
  id.mutable_data()[19] = 0;
  EXPECT_FALSE(id == ObjectID::from_binary(text));
  EXPECT_EQ(id.hex(), "7878787878787878787878787878787878787800");
  EXPECT_EQ(id.hash(), std::hash<ObjectID>()(id));
  EXPECT_EQ(std::unordered_set<ObjectID>({id, plasma::random_object_id()}).size(), 2u);
  const plasma::ObjectTableEntry entry;
  EXPECT_EQ(entry.ref_count, 0);
  PLASMA_CHECK_SYSTEM(0);
}

TEST(PlasmaSignatures, StoreErrorsHaveTheirPredicatesAndArrowsKinds) {
  using plasma::MakePlasmaError;
  using plasma::PlasmaErrorCode;
  const Status exists = MakePlasmaError(PlasmaErrorCode::PlasmaObjectExists, "there");
  const Status missing = MakePlasmaError(PlasmaErrorCode::PlasmaObjectNotFound, "not there");
  const Status full = MakePlasmaError(PlasmaErrorCode::PlasmaStoreFull, "no room");
  const Status sealed = MakePlasmaError(PlasmaErrorCode::PlasmaObjectAlreadySealed, "sealed");
  EXPECT_TRUE(plasma::IsPlasmaObjectExists(exists) && exists.IsAlreadyExists());
  EXPECT_TRUE(plasma::IsPlasmaObjectNotFound(missing) && missing.IsKeyError());
  EXPECT_TRUE(plasma::IsPlasmaStoreFull(full) && full.IsCapacityError());
  EXPECT_TRUE(plasma::IsPlasmaObjectAlreadySealed(sealed) && sealed.IsTypeError());
  EXPECT_FALSE(plasma::IsPlasmaObjectExists(Status::AlreadyExists("of the program's own")));
  EXPECT_EQ(full.message(), "no room");
}

TEST(PlasmaSignatures, StatusesAreMadePrintedComparedAndJoined) {
  EXPECT_TRUE(Status::OutOfMemory("x").IsOutOfMemory());
  EXPECT_TRUE(Status::KeyError("x").IsKeyError());
  EXPECT_TRUE(Status::TypeError("x").IsTypeError());
  EXPECT_TRUE(Status::Invalid("x").IsInvalid());
  EXPECT_TRUE(Status::IOError("x").IsIOError());
  EXPECT_TRUE(Status::CapacityError("x").IsCapacityError());
  EXPECT_TRUE(Status::IndexError("x").IsIndexError());
  EXPECT_TRUE(Status::Cancelled("x").IsCancelled());
  EXPECT_TRUE(Status::UnknownError("x").IsUnknownError());
  EXPECT_TRUE(Status::NotImplemented("x").IsNotImplemented());
  EXPECT_TRUE(Status::SerializationError("x").IsSerializationError());
  const Status bad = Status::Invalid("row ", 7, " of ", std::string("table"), '!');
  EXPECT_EQ(bad.ToString(), "Invalid: row 7 of table!");
  EXPECT_EQ(bad.CodeAsString(), "Invalid");
  EXPECT_EQ(Status::CodeAsString(arrow::StatusCode::IOError), "IOError");
  EXPECT_EQ(bad.code(), arrow::StatusCode::Invalid);
  EXPECT_EQ(bad.WithMessage("else").ToString(), "Invalid: else");
  std::ostringstream out;
  out << bad << ' ' << Status::OK();
  EXPECT_EQ(out.str(), "Invalid: row 7 of table! OK");
  EXPECT_TRUE(bad.Equals(Status(arrow::StatusCode::Invalid, "row 7 of table!")));
  EXPECT_FALSE(bad == Status::Invalid("else"));
  EXPECT_TRUE(bad != Status::OK());
  EXPECT_TRUE((Status::OK() & bad).Equals(bad));
  EXPECT_TRUE((bad & Status::IOError("later")).IsInvalid());
  Status joined;
  joined &= bad;
  joined &= Status::IOError("later");
  EXPECT_TRUE(joined.IsInvalid());
}

Status FailsAt(int step) {
  RETURN_NOT_OK(step == 1 ? Status::Invalid("one") : Status::OK());
  ARROW_RETURN_NOT_OK(step == 2 ? Status::IOError("two") : Status::OK());
  ARROW_CHECK_OK(Status::OK());
  return Status::OK();
}

TEST(PlasmaSignatures, ReturnNotOkReturnsTheFirstFailure) {
  EXPECT_TRUE(FailsAt(0).ok());
  EXPECT_TRUE(FailsAt(1).IsInvalid());
  EXPECT_TRUE(FailsAt(2).IsIOError());
  EXPECT_DEATH(ARROW_CHECK_OK(FailsAt(1)), "FailsAt\\(1\\): Invalid: one");
}

TEST(PlasmaSignatures, BuffersAreMadeOfTextValuesAndSlices) {
  const std::shared_ptr<Buffer> owned = Buffer::FromString("0123456789");
  EXPECT_EQ(owned->size(), 10);
  EXPECT_EQ(owned->capacity(), 10);
  EXPECT_EQ(owned->address(), reinterpret_cast<uintptr_t>(owned->data()));
  EXPECT_FALSE(owned->is_mutable());
  EXPECT_EQ(owned->mutable_address(), 0u);
  EXPECT_EQ(owned->parent(), nullptr);
  EXPECT_TRUE(owned->is_cpu());
  EXPECT_EQ((*owned)[3], '3');
  EXPECT_EQ(std::string_view(*owned), "0123456789");
  EXPECT_EQ(SliceBuffer(owned, 8)->ToHexString(), "3839");
  const auto slice = SliceBuffer(owned, 2, 3);
  EXPECT_EQ(slice->ToString(), "234");
  EXPECT_EQ(slice->parent(), owned);
  const std::string text = "012x";
  const Buffer viewed{std::string_view(text)};
  EXPECT_TRUE(viewed.Equals(*owned, 3));
  EXPECT_FALSE(viewed.Equals(*owned, 4));
  EXPECT_FALSE(viewed.Equals(*owned, 5));  // it has no five bytes
  EXPECT_FALSE(viewed.Equals(*owned));
  int32_t values[] = {1, 2, 3};
  EXPECT_EQ(Buffer::Wrap(values, 3)->size(), 12);
  EXPECT_EQ(Buffer::Wrap(std::vector<int64_t>(4))->size(), 32);
  const auto writable = arrow::MutableBuffer::Wrap(values, 3);
  EXPECT_TRUE(writable->is_mutable());
  EXPECT_EQ(SliceBuffer(writable, 4, 4)->mutable_data(), nullptr);  // as Arrow's: read-only
  const auto part = arrow::SliceMutableBuffer(writable, 4, 4);
  ASSERT_NE(part->mutable_data(), nullptr);
  part->mutable_data()[0] = 9;
  EXPECT_EQ(values[1], 9);
  EXPECT_EQ(arrow::SliceMutableBuffer(writable, 8)->size(), 4);
  EXPECT_EQ(arrow::SliceMutableBuffer(owned, 8)->mutable_data(), nullptr);  // its parent is read-only
  EXPECT_TRUE(Program().Run().ok());
}

TEST(PlasmaSignatures, ClientsAreCopiedAndReturned) {
  const auto make = [] {
    plasma::PlasmaClient client;
    return client;
  };
  plasma::PlasmaClient client = make(), copy;
  copy = client;
  EXPECT_EQ(copy.store_capacity(), 0);
  ObjectBuffer buffer;
  EXPECT_EQ(buffer.device_num, 0);
}

}  // namespace
