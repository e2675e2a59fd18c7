// Templates of the standard library, inlined deeply: what test_symbolize asks the names of.
#include <algorithm>
#include <deque>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>
namespace shapes
{
template <class T> struct point {
	T x, y;
	T dot(const point &o) const
	{
		return x * o.x + y * o.y;
	}
};
namespace
{
struct hidden {
	std::string name;
	int operator()(int v) const
	{
		return v + (int)name.size();
	}
};
} // namespace
} // namespace shapes
template <int N> struct fib {
	static int get(std::vector<int> &v)
	{
		v.push_back(N);
		return fib<N - 1>::get(v) + fib<N - 2>::get(v);
	}
};
template <> struct fib<0> {
	static int get(std::vector<int> &v)
	{
		v.push_back(0);
		return 1;
	}
};
template <> struct fib<1> {
	static int get(std::vector<int> &v)
	{
		v.push_back(1);
		return 1;
	}
};
template <class... A> std::string join(const A &...a)
{
	std::ostringstream o;
	((o << a << ','), ...);
	return o.str();
}
int main(int argc, char **argv)
{
	std::vector<int> v;
	fib<12>::get(v);
	std::sort(v.begin(), v.end(), [](int a, int b) { return (a ^ 5) < (b ^ 5); });
	std::stable_sort(v.begin(), v.end());
	std::map<std::string, std::vector<shapes::point<double>>> m;
	for (int i = 0; i < 100; i++)
		m[std::to_string(i % 7)].push_back({(double)i, 1.0});
	std::unordered_map<std::string, std::unique_ptr<std::set<int>>> u;
	for (int i : v) {
		auto &p = u[join(i, "x", 2.5)];
		if (!p)
			p = std::make_unique<std::set<int>>();
		p->insert(i);
	}
	std::regex r("(a|b)*c+[0-9]{2,5}");
	std::smatch s;
	std::string text = argc > 1 ? argv[1] : "ababccc123";
	bool found = std::regex_search(text, s, r);
	std::variant<int, std::string, std::list<double>> w = text;
	std::function<int(int)> f = shapes::hidden{"abc"};
	int sum = std::visit(
		[&](auto &x) -> int {
			if constexpr (std::is_same_v<std::decay_t<decltype(x)>, int>)
				return x;
			else
				return (int)x.size();
		},
		w);
	double d = 0;
	for (auto &[k, ps] : m)
		for (auto &p : ps)
			d += p.dot(ps.front());
	std::deque<std::optional<std::tuple<int, std::string>>> q;
	q.emplace_back(std::make_tuple(sum, text));
	std::mt19937 g(7);
	std::shuffle(v.begin(), v.end(), g);
	std::partial_sort(v.begin(), v.begin() + 5, v.end());
	std::cout << found << sum << d << f(3) << std::accumulate(v.begin(), v.end(), 0)
		  << std::get<1>(*q.front()) << u.size() << "\n";
}
