"""Uses files in the ways that Python programs do: imports, text and bytes, trees, locks, archives, a database."""

import configparser, gzip, hashlib, io, json, os, pathlib, random, shutil, sqlite3, tempfile, zipfile

work = pathlib.Path("/w")
results = {}

settings = configparser.ConfigParser()
settings.read(work / "settings.ini")
results["settings"] = dict(settings["river"])

tree = work / "tree"
for number in range(40):
    folder = tree / f"d{number % 7}" / f"e{number % 3}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"f{number}.txt").write_text(f"file {number}\n" * number)
results["tree"] = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
results["bytes"] = sum(path.stat().st_size for path in tree.rglob("*.txt"))

(tree / "d0" / "link").symlink_to("e0")
results["link"] = [os.readlink(tree / "d0" / "link"), sorted(os.listdir(tree / "d0" / "link"))]
os.link(tree / "d1" / "e1" / "f1.txt", tree / "hard")
results["links"] = (tree / "hard").stat().st_nlink
os.rename(tree / "hard", tree / "renamed")

with open(tree / "sparse", "w+b") as file:
    file.seek(100_000)
    file.write(b"end")
    file.truncate(200_000)
    file.seek(99_999)
    results["sparse"] = [file.read(5).hex(), os.fstat(file.fileno()).st_size]
with open(tree / "sparse", "ab") as file:
    file.write(b"appended")
    results["append"] = file.tell()

errors = []
for action in (
    lambda: open("/w/no-such-file"),
    lambda: os.mkdir(tree),
    lambda: os.rmdir(tree),
    lambda: os.listdir(work / "settings.ini"),
    lambda: open(tree),
    lambda: os.rename(tree, tree / "d0" / "inside"),
    lambda: open("/etc/passwd"),
    lambda: os.open(tree / "renamed", os.O_CREAT | os.O_EXCL),
):
    try:
        action()
        errors.append("no error")
    except OSError as error:
        errors.append(type(error).__name__)
results["errors"] = errors

with zipfile.ZipFile(work / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for path in sorted(tree.rglob("*.txt")):
        archive.writestr(zipfile.ZipInfo(str(path.relative_to(tree))), path.read_bytes())
with zipfile.ZipFile(work / "archive.zip") as archive:
    results["zip"] = [archive.testzip(), len(archive.namelist())]
results["zip sha256"] = hashlib.sha256((work / "archive.zip").read_bytes()).hexdigest()
with tempfile.TemporaryDirectory(dir=work) as folder:
    shutil.copytree(tree / "d2", pathlib.Path(folder) / "copy")
    results["copied"] = len(list(pathlib.Path(folder).rglob("*")))

random.seed(7)
database = sqlite3.connect(work / "out.db")
database.execute("create table t (a integer, b text)")
database.executemany("insert into t values (?, ?)", [(random.randrange(10**6), str(i)) for i in range(5000)])
database.commit()
database.execute("create index i on t (a)")
database.execute("delete from t where a % 2")
database.commit()
results["database"] = database.execute("select count(*), sum(a) from t").fetchone()
database.close()

shutil.rmtree(tree)
os.remove(work / "archive.zip")
results["left"] = sorted(os.listdir(work))
with open(work / "out.json", "w") as file:
    json.dump(results, file, indent=1)
print(json.dumps(results))
