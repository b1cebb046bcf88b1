#include "tests/client/ray/api/round_trips.h"

#include <gtest/gtest.h>

#include <bit>
#include <complex>
#include <cstring>
#include <deque>
#include <limits>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <set>

#include <ray/api.h>

namespace round_trips {
namespace {

// The bits of a value, found without any code of the library.
template <class T>
std::string BitsOf(const T& value) {
  if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    return std::string(bytes, sizeof bytes);
  } else if constexpr (requires { value.Fields(); }) {
    return BitsOf(value.Fields());
  } else if constexpr (requires {
                         *value;
                         static_cast<bool>(value);
                       }) {
    return value ? "present " + BitsOf(*value) : "absent";
  } else if constexpr (requires {
                         value.begin();
                         value.size();
                       }) {
    std::string bits = std::to_string(value.size()) + ":";
    for (const auto& element : value) bits += BitsOf<std::remove_cvref_t<decltype(element)>>(element);
    return bits;
  } else if constexpr (requires { value.real(); }) {
    return BitsOf(value.real()) + BitsOf(value.imag());
  } else {
    return std::apply([](const auto&... parts) { return (BitsOf(parts) + ... + std::string()); }, value);
  }
}

struct Inner {
  float f = 0;
  double d = 0;
  std::optional<double> maybe;
  auto Fields() const { return std::tie(f, d, maybe); }
  MSGPACK_DEFINE(f, d, maybe)
};

enum class Colour : int8_t { kRed = -1, kBlue = 2 };

struct Outer {
  Inner inner;
  std::vector<Inner> list;
  std::map<std::string, double> by_name;
  std::vector<double> numbers;
  std::string text;
  Colour colour = Colour::kRed;
  auto Fields() const { return std::tie(inner, list, by_name, numbers, text, colour); }
  MSGPACK_DEFINE(inner, list, by_name, numbers, text, colour)
};

struct Named {
  double d = 0;
  int64_t i = 0;
  auto Fields() const { return std::tie(d, i); }
  MSGPACK_DEFINE_MAP(d, i)
};

struct MaybeMaybe {
  std::optional<std::optional<int>> value;
  MSGPACK_DEFINE(value)
};

}  // namespace
}  // namespace round_trips

MSGPACK_ADD_ENUM(round_trips::Colour)

namespace round_trips {

template <class T>
T Echo(T value) {
  return value;
}

class Keeper {
 public:
  static Keeper* Create() { return new Keeper(); }
  template <class T>
  T Keep(T value) {
    return value;
  }
};

class Silent : public std::exception {
 public:
  const char* what() const noexcept override { return nullptr; }
};
int ThrowSilently() { throw Silent(); }

const std::string CountedText(size_t size) { return std::string(size, 'c'); }
const std::string& SameText(const std::string& text) { return text; }
struct Derived : std::vector<double> {
  using vector::vector;
};

using Floats = std::vector<float>;
using Doubles = std::list<double>;
using Deque = std::deque<double>;
using ByName = std::map<std::string, double>;
using ByNumber = std::map<double, std::vector<float>>;
using Hashed = std::unordered_map<std::string, float>;
using Pair = std::pair<double, float>;
using Tuple = std::tuple<float, double, std::string, bool, int64_t>;
using Array = std::array<double, 3>;
using Matrix = std::vector<std::vector<double>>;
using Set = std::set<double>;
using Bits = std::vector<bool>;
using Complex = std::complex<double>;
using Maybe = std::optional<int>;
using MaybeText = std::optional<std::string>;
using MaybeMaybeInt = std::optional<std::optional<int>>;
using MaybeThree = std::optional<std::optional<std::optional<double>>>;
using MaybeBoost = boost::optional<boost::optional<int>>;
using Shared = std::shared_ptr<std::optional<double>>;
using MaybeShared = std::optional<std::shared_ptr<int>>;
using Large = std::vector<double>;
using LargeArray = std::array<double, 20'000>;
using Any = std::any;
using Anys = std::vector<std::any>;

RAY_REMOTE(ThrowSilently, Keeper::Create);
RAY_REMOTE(CountedText, SameText, Echo<Large>, Echo<LargeArray>, &Keeper::Keep<Large>, &Keeper::Keep<LargeArray>);
RAY_REMOTE(Echo<float>, Echo<double>, Echo<int8_t>, Echo<uint8_t>, Echo<int16_t>, Echo<uint16_t>, Echo<int32_t>,
           Echo<uint32_t>, Echo<int64_t>, Echo<uint64_t>, Echo<bool>, Echo<std::string>);
RAY_REMOTE(&Keeper::Keep<float>, &Keeper::Keep<double>, &Keeper::Keep<int8_t>, &Keeper::Keep<uint8_t>,
           &Keeper::Keep<int16_t>, &Keeper::Keep<uint16_t>, &Keeper::Keep<int32_t>, &Keeper::Keep<uint32_t>,
           &Keeper::Keep<int64_t>, &Keeper::Keep<uint64_t>, &Keeper::Keep<bool>, &Keeper::Keep<std::string>);
RAY_REMOTE(Echo<Floats>, Echo<Doubles>, Echo<Deque>, Echo<ByName>, Echo<ByNumber>, Echo<Hashed>, Echo<Pair>,
           Echo<Tuple>, Echo<Array>, Echo<Matrix>, Echo<Set>, Echo<Bits>, Echo<Complex>, Echo<Inner>, Echo<Outer>,
           Echo<Named>, Echo<Maybe>, Echo<MaybeText>, Echo<MaybeMaybeInt>, Echo<MaybeThree>, Echo<MaybeBoost>,
           Echo<Shared>, Echo<MaybeShared>, Echo<Any>, Echo<Anys>);
RAY_REMOTE(&Keeper::Keep<Floats>, &Keeper::Keep<Doubles>, &Keeper::Keep<Deque>, &Keeper::Keep<ByName>,
           &Keeper::Keep<ByNumber>, &Keeper::Keep<Hashed>, &Keeper::Keep<Pair>, &Keeper::Keep<Tuple>,
           &Keeper::Keep<Array>, &Keeper::Keep<Matrix>, &Keeper::Keep<Set>, &Keeper::Keep<Bits>, &Keeper::Keep<Complex>,
           &Keeper::Keep<Inner>, &Keeper::Keep<Outer>, &Keeper::Keep<Named>, &Keeper::Keep<Maybe>,
           &Keeper::Keep<MaybeText>, &Keeper::Keep<MaybeMaybeInt>, &Keeper::Keep<MaybeThree>, &Keeper::Keep<MaybeBoost>,
           &Keeper::Keep<Shared>, &Keeper::Keep<MaybeShared>);

namespace {

template <class To, class From>
To FromBits(From bits) {
  static_assert(sizeof(To) == sizeof(From));
  return std::bit_cast<To>(bits);
}

// Zeros, infinities, subnormals, whole numbers, and NaNs of either sign with payloads.
std::vector<double> EdgesOfDouble() {
  using Limits = std::numeric_limits<double>;
  return {0.0,
          -0.0,
          1.0,
          -1.0,
          3.0,
          0x1p53,
          -0x1p53,
          0x1p63,
          0x1p64,
          -0x1p63,
          1e300,
          0.1,
          Limits::infinity(),
          -Limits::infinity(),
          Limits::denorm_min(),
          -Limits::denorm_min(),
          Limits::max(),
          Limits::lowest(),
          Limits::min(),
          Limits::quiet_NaN(),
          FromBits<double>(uint64_t{0xfff8'0000'dead'beef}),
          FromBits<double>(uint64_t{0x7ff0'0000'0000'0001})};
}
std::vector<float> EdgesOfFloat() {
  using Limits = std::numeric_limits<float>;
  return {0.0f,
          -0.0f,
          1.0f,
          -1.0f,
          0x1p24f,
          0x1p63f,
          0x1p64f,
          1e30f,
          0.1f,
          Limits::infinity(),
          -Limits::infinity(),
          Limits::denorm_min(),
          -Limits::denorm_min(),
          Limits::max(),
          Limits::lowest(),
          Limits::quiet_NaN(),
          FromBits<float>(uint32_t{0xffc0'beef})};
}
float SignallingNan() { return FromBits<float>(uint32_t{0x7fa0'0001}); }

template <class T>
class RoundTrip {
 public:
  void Check(const T& value) {
    const std::string bits = BitsOf(value);
    EXPECT_EQ(BitsOf(*ray::Put(value).Get()), bits) << "Put and Get";
    EXPECT_EQ(BitsOf(*ray::Task(Echo<T>).Remote(value).Get()), bits) << "a task";
    EXPECT_EQ(BitsOf(*ray::Task(Echo<T>).Remote(ray::Put(value)).Get()), bits) << "a reference to a task";
    EXPECT_EQ(BitsOf(*keeper_.Task(&Keeper::Keep<T>).Remote(value).Get()), bits) << "an actor";
  }

 private:
  ray::ActorHandle<Keeper> keeper_ = ray::Actor(Keeper::Create).Remote();
};

template <class T>
void ExpectKept(const T& value) {
  SCOPED_TRACE(typeid(T).name());
  RoundTrip<T>().Check(value);
}

template <class T>
void ExpectLimitsKept() {
  RoundTrip<T> trip;
  for (const T value : {std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), T{0}, T{1}, static_cast<T>(-1)})
    trip.Check(value);
}

}  // namespace

void ExpectNumbersKept() {
  RoundTrip<double> doubles;
  for (const double value : EdgesOfDouble()) doubles.Check(value);
  RoundTrip<float> floats;
  for (const float value : EdgesOfFloat()) floats.Check(value);
  floats.Check(SignallingNan());
  ExpectLimitsKept<int8_t>();
  ExpectLimitsKept<uint8_t>();
  ExpectLimitsKept<int16_t>();
  ExpectLimitsKept<uint16_t>();
  ExpectLimitsKept<int32_t>();
  ExpectLimitsKept<uint32_t>();
  ExpectLimitsKept<int64_t>();
  ExpectLimitsKept<uint64_t>();
  ExpectKept(true);
  ExpectKept(false);
  ExpectKept(std::string("with\0zero", 9));
}

void ExpectContainersKept() {
  const std::vector<double> edges = EdgesOfDouble();
  Floats floats = EdgesOfFloat();
  ByName by_name;
  ByNumber by_number{{-0.0, floats}, {1.0, {}}};
  for (const double edge : edges) by_name.emplace(std::to_string(by_name.size()), edge);
  ExpectKept(Doubles(edges.begin(), edges.end()));
  ExpectKept(Deque(edges.begin(), edges.end()));
  ExpectKept(by_name);
  ExpectKept(by_number);
  ExpectKept(Hashed{{"zero", -0.0f}});
  ExpectKept(Pair{-0.0, -0.0f});
  ExpectKept(Tuple{-0.0f, -0.0, "text", true, -1});
  ExpectKept(Array{-0.0, 1.0, 2.5});
  ExpectKept(Matrix{{-0.0}, {}, edges});
  ExpectKept(Set{-0.0, 1.0});
  ExpectKept(Bits{true, false, true});
  ExpectKept(Complex{-0.0, -0.0});
  floats.push_back(SignallingNan());
  ExpectKept(floats);
}

void ExpectUserTypesKept() {
  Outer outer;
  for (const double edge : EdgesOfDouble()) outer.list.push_back({0, edge, edge});
  for (const float edge : EdgesOfFloat()) outer.list.push_back({edge, 0, std::nullopt});
  outer.inner = {-0.0f, -0.0, -0.0};
  outer.by_name = {{"zero", -0.0}, {"three", 3.0}};
  outer.numbers = EdgesOfDouble();
  outer.text = "text";
  ExpectKept(outer);
  ExpectKept(outer.inner);
  ExpectKept(Named{-0.0, -1});
}

void ExpectOptionalsKept() {
  ExpectKept(Maybe());
  ExpectKept(Maybe(0));
  ExpectKept(MaybeText("text"));
  ExpectKept(MaybeText());
  ExpectKept(MaybeMaybeInt());
  ExpectKept(MaybeMaybeInt(std::in_place, std::nullopt));
  ExpectKept(MaybeMaybeInt(std::in_place, 5));
  ExpectKept(MaybeThree());
  ExpectKept(MaybeThree(std::in_place, std::nullopt));
  ExpectKept(MaybeThree(std::in_place, std::in_place, std::nullopt));
  ExpectKept(MaybeThree(std::in_place, std::in_place, -0.0));
  ExpectKept(MaybeBoost(boost::optional<int>()));
  ExpectKept(MaybeBoost());
  ExpectKept(Shared());
  ExpectKept(std::make_shared<std::optional<double>>());
  ExpectKept(std::make_shared<std::optional<double>>(-0.0));
  ExpectKept(MaybeShared(std::in_place, nullptr));
  ExpectKept(MaybeShared(std::make_shared<int>(7)));
}

void ExpectAnyKept() {
  const auto echo = [](const std::any& value) { return *ray::Task(Echo<Any>).Remote(value).Get(); };
  EXPECT_EQ(BitsOf(std::any_cast<double>(echo(-0.0))), BitsOf(-0.0));
  EXPECT_EQ(std::any_cast<double>(echo(3.0)), 3.0) << "no integer";
  EXPECT_EQ(std::any_cast<uint64_t>(echo(uint64_t{7})), 7U);
  EXPECT_EQ(std::any_cast<int64_t>(echo(int64_t{-7})), -7);
  EXPECT_EQ(std::any_cast<bool>(echo(true)), true);
  EXPECT_EQ(std::any_cast<std::string>(echo(std::string("text"))), "text");
  EXPECT_EQ(std::any_cast<std::vector<char>>(echo(std::vector<char>{'a', '\0'})), (std::vector<char>{'a', '\0'}));
  EXPECT_EQ(echo(msgpack::type::nil_t()).type(), typeid(msgpack::type::nil_t));
  const Anys list = *ray::Task(Echo<Anys>).Remote(Anys{-0.0, std::string("x")}).Get();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(BitsOf(std::any_cast<double>(list[0])), BitsOf(-0.0));
}

void ExpectLargeKept() {
  const auto sequence = [](auto& values) { std::iota(values.begin(), values.end(), 0); };
  for (const size_t kib : {64, 65, 127, 128, 129}) {
    Large numbers(kib * 1024 / sizeof(double));
    sequence(numbers);
    RoundTrip<Large>().Check(numbers);
    std::string text(kib * 1024, 'x');
    sequence(text);
    RoundTrip<std::string>().Check(text);
    EXPECT_EQ(*ray::Task(SameText).Remote(text).Get(), text);
    EXPECT_EQ(*ray::Task(Echo<std::string>).Remote(text.c_str() + 1).Get(), text.c_str() + 1) << "it is converted";
    EXPECT_EQ(*ray::Task(Echo<Large>).Remote(Derived(numbers.size(), 7)).Get(), Large(numbers.size(), 7));
    EXPECT_EQ(ray::Task(CountedText).Remote(text.size()).Get()->size(), text.size());
    const auto echoed = ray::Task(Echo<Large>).Remote(numbers);
    const Large before = numbers;
    numbers.assign(numbers.size(), -1);
    EXPECT_EQ(*echoed.Get(), before) << "the call took the numbers as they were";
  }
  const Large many(size_t{1} << 20, 0.5);  // large enough for huge pages where it comes back
  EXPECT_TRUE(*ray::Put(many).Get() == many);
  const std::string long_text(size_t{5} << 20, 'x');
  EXPECT_TRUE(*ray::Put(long_text).Get() == long_text);
  const auto array = std::make_unique<LargeArray>();
  sequence(*array);
  RoundTrip<LargeArray>().Check(*array);
}

void ExpectLossRefused() {
  try {
    ray::Put(MaybeMaybe{std::optional<std::optional<int>>(std::in_place, std::nullopt)});
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayException& e) {
    EXPECT_NE(std::string(e.what()).find("would come back as absent"), std::string::npos) << e.what();
  }
  EXPECT_THROW(ray::Put(std::vector<MaybeMaybeInt>{MaybeMaybeInt(std::in_place, std::nullopt)}),
               ray::internal::RayException);
  EXPECT_THROW(ray::Put(std::any(1.5f)), ray::internal::RayException);
}

void ExpectNullWhatTold() {
  try {
    ray::Task(ThrowSilently).Remote().Get();
    FAIL() << "nothing was thrown";
  } catch (const ray::internal::RayTaskException& e) {
    EXPECT_EQ(e.exception_type(), "round_trips::Silent");
    EXPECT_EQ(e.thrown_what(), "");
  }
}

}  // namespace round_trips
